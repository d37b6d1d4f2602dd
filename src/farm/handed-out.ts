// What TFTP and HTTP hand out to one machine: the boot file it asks for, with what its asking means noted first.
import type { Ipv4 } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import type { BootActions } from './action-store.ts';
import type { BootFileBody, BootFileFound, BootFiles } from './boot-files.ts';
import type { LiveFarm } from './live.ts';
import type { Sightings } from './sightings.ts';

/** undefined: there is no such file for this client. `path` without a leading slash. */
export type HandOut = (path: string, client: Ipv4) => Promise<BootFileBody | undefined>;

export interface HandOutParts {
  readonly files: BootFiles;
  readonly actions: BootActions;
  readonly sightings: Sightings;
  readonly live: LiveFarm;
  readonly clock: Clock;
}

export function handOut({ files, actions, sightings, live, clock }: HandOutParts): HandOut {
  /** A machine asks from its own address, or from one that another DHCP server gave it. A person who looks from elsewhere uses nothing up. */
  const isOwn = ({ menuOf }: BootFileFound, client: Ipv4): boolean => {
    const { byAddress, farm } = live.published;
    const asker = byAddress.get(client);
    if (asker !== undefined) return asker.name === menuOf?.name;
    return farm.networks.every(({ server }) => server !== client);
  };

  return async (path, client) => {
    const found = files.find(path, client);
    if (found === undefined) return undefined;
    const { menuOf } = found;
    if (menuOf === undefined || !isOwn(found, client)) {
      sightings.reached(client, found.stage, found.detail);
      return found.body;
    }
    // On disk as used up before it is handed out: a crash in between costs a machine its one-shot action, and never gives it one twice.
    const action = await actions.menu(menuOf.name, clock.now());
    const menu = files.find(path, client, action ?? menuOf.profile.boot) ?? found;
    sightings.reached(menuOf.address, menu.stage, menu.detail);
    return menu.body;
  };
}
