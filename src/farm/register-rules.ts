// Which strangers become nodes: machines that boot from the network, in the order seen, each once, up to a limit, until a window closes.
import type { Mac } from '../base/addresses.ts';
import type { BootClient } from '../dhcp/pxe.ts';

/** Rules of one `unknown: register`, the farm's own or a network's. */
export interface RegisterPolicy {
  /** Name of the network that has it; empty: the farm's own, which goes for all networks that have none. */
  readonly scope: string;
  readonly limit: number;
  readonly windowSeconds: number;
  readonly profile: string;
}

/** A machine on its way into the registry. */
export interface Newcomer {
  readonly mac: Mac;
  readonly network: string;
  readonly scope: string;
  readonly profile: string;
}

interface Window {
  readonly policy: RegisterPolicy;
  /** Milliseconds for which it has been open. Counted, not measured from a beginning: a clock that steps back must not hold it open. */
  readonly elapsed: number;
  /** How many machines were let in. */
  readonly count: number;
  readonly closed: 'time' | 'limit' | undefined;
}

export interface Registration {
  readonly at: number;
  /** Milliseconds for which nobody is taken, because adding failed. */
  readonly pause: number;
  readonly windows: ReadonlyMap<string, Window>;
  /** In the order seen; bounded by the policies' limits. */
  readonly newcomers: ReadonlyMap<Mac, Newcomer>;
}

export type RegisterEvent =
  /** The farm was read: the policies it has now, and who has become a node. */
  | { readonly kind: 'published'; readonly policies: readonly RegisterPolicy[]; readonly isNode: (mac: Mac) => boolean }
  | { readonly kind: 'seen'; readonly mac: Mac | undefined; readonly network: string; readonly scope: string; readonly client: BootClient }
  /** They could not be added: each is taken again when it asks again. */
  | { readonly kind: 'failed'; readonly newcomers: readonly Newcomer[] }
  | { readonly kind: 'tick' };

export interface Outcome {
  readonly registration: Registration;
  /** Of a machine that was seen: whether it is, or is to be, let in; else why not. */
  readonly verdict?: { readonly kind: 'new' | 'waiting'; readonly newcomer: Newcomer } | { readonly kind: 'no'; readonly why: string };
  readonly closed: readonly { readonly policy: RegisterPolicy; readonly why: 'time' | 'limit'; readonly count: number }[];
}

/** Each try reads and checks farm.yaml: a storm of forged strangers that cannot be added must not keep the server at it. */
const pauseMilliseconds = 30_000;

export function noRegistration(now: number): Registration {
  return { at: now, pause: 0, windows: new Map(), newcomers: new Map() };
}

/** `now` in milliseconds, of any clock. */
export function registerStep(before: Registration, event: RegisterEvent, now: number): Outcome {
  const passed = Math.max(0, now - before.at);
  const aged = new Map([...before.windows].map(([scope, window]) => [scope, settled({ ...window, elapsed: window.elapsed + passed })]));
  const registration = { ...before, at: now, pause: Math.max(0, before.pause - passed), windows: aged };
  const outcome = react(registration, event);
  const closed = [...outcome.registration.windows].flatMap(([scope, { policy, closed: why, count }]) => {
    const was = before.windows.get(scope);
    return why === undefined || (was?.closed !== undefined && was.policy === policy) ? [] : [{ policy, why, count }];
  });
  return { ...outcome, closed };
}

function settled(window: Window): Window {
  if (window.closed !== undefined) return window;
  const { policy, count, elapsed } = window;
  if (count >= policy.limit) return { ...window, closed: 'limit' };
  return elapsed >= policy.windowSeconds * 1000 ? { ...window, closed: 'time' } : window;
}

function react(registration: Registration, event: RegisterEvent): Omit<Outcome, 'closed'> {
  switch (event.kind) {
    case 'tick':
      return { registration };
    case 'published': {
      const windows = event.policies.map((policy) => [policy.scope, renewed(registration.windows.get(policy.scope), policy)] as const);
      const scopes = new Set(event.policies.map(({ scope }) => scope));
      const newcomers = [...registration.newcomers].filter(([mac, { scope }]) => !event.isNode(mac) && scopes.has(scope));
      return { registration: { ...registration, windows: new Map(windows), newcomers: new Map(newcomers) } };
    }
    case 'failed': {
      const newcomers = new Map(registration.newcomers);
      const windows = new Map(registration.windows);
      for (const { mac, scope } of event.newcomers) {
        const window = windows.get(scope);
        if (newcomers.delete(mac) && window !== undefined)
          windows.set(scope, { ...window, count: window.count - 1, closed: window.closed === 'limit' ? undefined : window.closed });
      }
      return { registration: { ...registration, pause: pauseMilliseconds, windows, newcomers } };
    }
    case 'seen':
      return see(registration, event);
  }
}

/** The same policy goes on; one that was changed, or is new, begins. Farm.yaml changes with every machine that is added. */
function renewed(window: Window | undefined, policy: RegisterPolicy): Window {
  const isSame = window !== undefined && (['limit', 'windowSeconds', 'profile'] as const).every((key) => window.policy[key] === policy[key]);
  return isSame ? window : { policy, elapsed: 0, count: 0, closed: undefined };
}

function see(registration: Registration, { mac, network, scope, client }: RegisterEvent & { kind: 'seen' }): Omit<Outcome, 'closed'> {
  const no = (why: string): Omit<Outcome, 'closed'> => ({ registration, verdict: { kind: 'no', why } });
  if (mac === undefined) return no('it has no MAC address to be known by');
  const waiting = registration.newcomers.get(mac);
  if (waiting !== undefined) return { registration, verdict: { kind: 'waiting', newcomer: waiting } };
  // A BOOTP client says nothing of itself: it may be a boot ROM.
  if (client.loader === 'none' && !client.bootp) return no('an operating system asks: only machines that boot from the network are registered');
  if (registration.pause > 0) return no('adding a machine failed a moment ago; it is tried again');
  const window = registration.windows.get(scope);
  if (window === undefined) return no('nothing is registered here');
  const { policy, closed, count } = window;
  if (closed === 'time') return no(`registering ended ${policy.windowSeconds} s after it began`);
  if (closed === 'limit') return no(`registering ended with ${count} machines, its limit`);
  const newcomer: Newcomer = { mac, network, scope, profile: policy.profile };
  const windows = new Map(registration.windows).set(scope, settled({ ...window, count: count + 1 }));
  return { registration: { ...registration, windows, newcomers: new Map(registration.newcomers).set(mac, newcomer) }, verdict: { kind: 'new', newcomer } };
}
