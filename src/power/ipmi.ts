// Power by IPMI 2.0, spoken by ipmitool(1). The password goes by its file: arguments can be read by every user of this machine.
import { FarmError } from '../base/errors.ts';
import { run } from '../base/processes.ts';
import { type Controller, controllerOf } from './controller.ts';
import { type PowerOrder, type PowerOutcome, type PowerState, stepFor } from './order.ts';
import type { IpmiPower } from './setting.ts';

/** ipmitool's own patience with a controller that does not answer is 4 tries of 1 s for each of some ten messages. */
const patience = 30_000;

const words = { on: 'on', off: 'off', shutdown: 'soft', cycle: 'cycle' } as const;

export async function orderByIpmi(power: IpmiPower, order: PowerOrder, directory: string): Promise<PowerOutcome> {
  const controller = controllerOf(power, directory);
  const state = stateIn(await chassis(controller, 'status'));
  if (order === 'status') return { kind: 'state', state };
  const step = stepFor(order, state);
  if (step === 'nothing') return { kind: 'told', detail: `is ${state} already` };
  const said = await chassis(controller, words[step]);
  return { kind: 'told', detail: said.trim().split('\n').at(-1) ?? '' };
}

/** `Chassis Power is on` */
export function stateIn(text: string): PowerState {
  const [, state] = /^Chassis Power is (on|off)$/m.exec(text) ?? [];
  return state === 'on' || state === 'off' ? state : 'unknown';
}

async function chassis({ address, user, passwordFile }: Controller, word: string): Promise<string> {
  const [host = '', port] = address.split(':');
  const where = ['-I', 'lanplus', '-H', host, ...(port === undefined ? [] : ['-p', port]), '-U', user, '-f', passwordFile];
  const signal = AbortSignal.timeout(patience);
  try {
    return (await run('ipmitool', [...where, 'chassis', 'power', word], { signal })).toString();
  } catch (error) {
    if (signal.aborted) throw new FarmError('power.silent', `${address} does not answer`, 'is it reachable from here, and IPMI over LAN allowed?', error);
    throw error;
  }
}
