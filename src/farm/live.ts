// The farm as it is served: farm.yaml, templates and images read again whenever they change, and published whole or not at all.
import { type FSWatcher, mkdirSync, readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import { FarmError, sentence } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { renderOverlay } from '../overlay/render.ts';
import { readOverlaySources } from '../overlay/sources.ts';
import type { OverlayFile } from '../tree/graft.ts';
import { configFile, loadFarm } from './config.ts';
import { overlayDirectory, stateDirectory } from './directory.ts';
import type { Farm, Network } from './farm.ts';
import { hostKeys } from './host-keys.ts';
import { mapInForce } from './own-map.ts';
import { indexFarm, type Registry } from './registry.ts';
import { accountFiles, accountsDirectory, readServerAccounts } from './server-account-files.ts';
import { withServerAccounts } from './server-accounts.ts';
import { templateValues } from './values.ts';

/** Everything that is derived from farm.yaml and the templates, consistent in itself. */
export interface Published extends Registry {
  readonly farm: Farm;
  readonly overlay: readonly OverlayFile[];
  readonly openmosixMap: string;
}

export interface LiveFarmOptions {
  readonly directory: string;
  /** The built-in overlay, `templates/root`. */
  readonly builtinOverlay: string;
  /** Files that come with the program rather than from a template directory, such as the agent. */
  readonly programFiles: readonly OverlayFile[];
  readonly log: Log;
  /** Where `passwd` and its like of `users_from_server` are. */
  readonly accounts?: string;
}

/** A burst of changes (an editor writes, renames, sets times) is taken as one. */
const settleMilliseconds = 100;

export class LiveFarm {
  readonly directory: string;
  readonly key: Buffer;
  private readonly options: LiveFarmOptions;
  private current: Published;
  private readonly watchers: FSWatcher[] = [];
  private readonly listeners: ((published: Published) => void)[] = [];
  private timer: NodeJS.Timeout | undefined;

  /** Reads the farm; throws what is wrong with it. */
  constructor(options: LiveFarmOptions) {
    this.options = options;
    this.directory = options.directory;
    this.key = readKey(options.directory);
    this.current = this.publish();
  }

  /** The last state that was right. */
  get published(): Published {
    return this.current;
  }

  onPublish(listener: (published: Published) => void): void {
    this.listeners.push(listener);
  }

  private publish(): Published {
    const { directory, builtinOverlay, programFiles, log, accounts } = this.options;
    const written = loadFarm(directory);
    const found = readServerAccounts(written, accounts);
    const farm = found === undefined ? written : withServerAccounts(written, found);
    for (const warning of found?.warnings ?? []) log('warn', 'users.doubtful', { warning });
    const { text: openmosixMap, file, warnings } = mapInForce(farm, directory);
    for (const { line, message } of warnings) log('warn', 'map.doubtful', { file, line, message });
    const sources = readOverlaySources([builtinOverlay, overlayDirectory(directory)]);
    const keys = hostKeys(directory, this.key);
    const overlay = [...renderOverlay(sources, templateValues(farm, this.key, openmosixMap, keys.of)), ...programFiles];
    keys.save();
    return { farm, overlay, openmosixMap, ...indexFarm(farm) };
  }

  /** Reads everything again. On an error the last good state stays and the error is logged. */
  reload(): void {
    const { log } = this.options;
    const before = this.current.farm;
    try {
      this.current = this.publish();
    } catch (error) {
      const hint = error instanceof FarmError ? error.hint : undefined;
      log('error', 'config.rejected', { error: sentence(error), hint, kept: 'the last good configuration' });
      return;
    }
    if (bound(before) !== bound(this.current.farm)) {
      log('warn', 'config.restart', {
        reason: 'http_port, tls, tftp, nfs, or interface or address of a network changed, or its dhcp: off',
        remedy: 'restart farm serve',
      });
    }
    log('info', 'config.loaded', { nodes: this.current.farm.nodes.length, overlayFiles: this.current.overlay.length });
    for (const listener of this.listeners) listener(this.current);
  }

  /** Follows changes on disk until `close`. */
  watch(): void {
    const changed = (): void => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.reload(), settleMilliseconds);
    };
    // The directory, not the file: editors and our own commands replace farm.yaml by rename.
    this.follow(this.directory, {}, (name) => (name === configFile ? changed() : undefined));
    const { accounts = accountsDirectory } = this.options;
    // The directory again: useradd(8) and vipw(8) replace the files by rename.
    this.follow(accounts, {}, (name) => (this.current.farm.usersFromServer !== undefined && accountFiles.includes(name ?? '') ? changed() : undefined));
    mkdirSync(overlayDirectory(this.directory), { recursive: true });
    this.follow(overlayDirectory(this.directory), { recursive: true }, changed);
  }

  private follow(directory: string, options: { recursive?: boolean }, changed: (name: string | null) => void): void {
    const watcher = watch(directory, options, (_event, name) => changed(name));
    watcher.on('error', (error) => this.options.log('error', 'config.unwatched', { directory, error: sentence(error), remedy: 'restart farm serve' }));
    this.watchers.push(watcher);
  }

  close(): void {
    clearTimeout(this.timer);
    for (const watcher of this.watchers.splice(0)) watcher.close();
  }
}

/** Whether DHCP is listened to on the network's card: for itself, or for the networks behind its relays. */
export function hearsDhcp({ name, dhcp }: Network, networks: readonly Network[]): boolean {
  return dhcp !== 'off' || networks.some((other) => other.link.kind === 'relayed' && other.link.via === name && other.dhcp !== 'off');
}

/** What sockets are made from: a change of it needs new ones. */
function bound({ networks, httpPort, tls, tftp, nfs }: Farm): string {
  const direct = networks.filter(({ link }) => link.kind === 'direct');
  return JSON.stringify([
    httpPort,
    tls ?? '',
    tftp,
    nfs,
    direct.map((network) => [network.link.interface, network.server, network.subnet.prefix, hearsDhcp(network, networks)]),
  ]);
}

/** The farm's secret, made by `farm init`: 32 bytes in hex. */
export function readKey(directory: string): Buffer {
  const path = join(stateDirectory(directory), 'key');
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw new FarmError('key.missing', `the farm's key ${path} cannot be read: ${sentence(error)}`, 'farm init makes it; restore it from a backup', error);
  }
  if (!/^[0-9a-f]{64}$/.test(text)) throw new FarmError('key.invalid', `${path} holds no key`, 'it must be 64 hex digits; restore it from a backup');
  return Buffer.from(text, 'hex');
}
