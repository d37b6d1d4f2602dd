// Power by Redfish (DMTF DSP0266): find the computer system, read its PowerState, POST its Reset action. All that a controller says is bounded and checked.
import * as z from 'zod';
import { FarmError } from '../base/errors.ts';
import { type PowerOrder, type PowerOutcome, type PowerState, stepFor } from './order.ts';

/** One request to the service: a path on it, a body to POST or none to GET. The body of the response, read as JSON; undefined if there is none. */
export type RedfishDoor = (path: string, body?: object) => Promise<unknown>;

/** Never leads elsewhere: what a controller names is a path of its own (DSP0266 6.5). */
const pathSchema = z.string().regex(/^\/[!-~]{1,511}$/);
const collection = z.object({ Members: z.array(z.object({ '@odata.id': pathSchema })).max(1000) });
const systemSchema = z.object({
  PowerState: z.string().max(64).nullish(),
  Actions: z.object({
    '#ComputerSystem.Reset': z.object({ target: pathSchema, 'ResetType@Redfish.AllowableValues': z.array(z.string().max(64)).max(100).optional() }),
  }),
});

/** ResetType of Resource.Reset, the one wanted most first (DSP0268). */
const resetTypes = {
  on: ['On', 'ForceOn'],
  off: ['ForceOff'],
  shutdown: ['GracefulShutdown', 'PushPowerButton'],
  cycle: ['PowerCycle', 'ForceRestart'],
} as const;

/** `system` is the Id of one of several that the service has. Throws `power.redfish`, and what `door` throws. */
export async function orderByRedfish(door: RedfishDoor, order: PowerOrder, system: string | undefined): Promise<PowerOutcome> {
  const { Members: members } = read(collection, await door('/redfish/v1/Systems'), 'its list of systems');
  const path = chosen(
    members.map((member) => member['@odata.id']),
    system,
  );
  const { PowerState: said, Actions: actions } = read(systemSchema, await door(path), `the system ${path}`);
  const state = stateOf(said ?? undefined);
  if (order === 'status') return { kind: 'state', state, ...(state === 'unknown' ? { detail: `PowerState ${said}` } : {}) };
  const step = stepFor(order, state);
  if (step === 'nothing') return { kind: 'told', detail: `is ${state} already` };
  const { target, 'ResetType@Redfish.AllowableValues': allowed } = actions['#ComputerSystem.Reset'];
  const type = resetTypes[step].find((each) => allowed === undefined || allowed.includes(each));
  if (type === undefined) throw new FarmError('power.redfish', `its controller has no ${resetTypes[step].join(' or ')}`, `it has ${allowed?.join(', ')}`);
  await door(target, { ResetType: type });
  return { kind: 'told', detail: type };
}

function read<Value>(schema: z.ZodType<Value>, value: unknown, what: string): Value {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new FarmError(
    'power.redfish',
    `${what} is not as Redfish says: ${issue?.path.join('.')} ${issue?.message}`,
    'is it a Redfish service? see its firmware',
  );
}

function chosen(paths: readonly string[], system: string | undefined): string {
  const ids = paths.map((path) => path.replace(/\/$/, '').split('/').at(-1) ?? '');
  const [only] = paths;
  if (system === undefined && paths.length === 1 && only !== undefined) return only;
  const found = paths[ids.indexOf(system ?? '')];
  if (found !== undefined) return found;
  const complaint = system === undefined ? `the controller has ${paths.length} computer systems` : `the controller has no computer system ${system}`;
  throw new FarmError('power.redfish', complaint, `write \`system\` to \`power.redfish\`: one of ${ids.join(', ')}`);
}

/** PoweringOn and PoweringOff are on their way: neither may be told as done. */
function stateOf(said: string | undefined): PowerState {
  if (said === 'On') return 'on';
  return said === 'Off' ? 'off' : 'unknown';
}
