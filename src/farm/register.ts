// Strangers become nodes: takes those that the rules let in and adds them to farm.yaml in batches, in the order seen.
import type { Clock } from '../base/clock.ts';
import { FarmError, sentence } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Farm } from './farm.ts';
import type { LiveFarm, Published } from './live.ts';
import { addNodes } from './nodes.ts';
import type { Register } from './places.ts';
import { type Newcomer, noRegistration, type Outcome, type RegisterEvent, type RegisterPolicy, type Registration, registerStep } from './register-rules.ts';

export interface RegistrarOptions {
  readonly live: Pick<LiveFarm, 'directory' | 'published' | 'onPublish'>;
  readonly log: Log;
  readonly clock: Clock;
}

/** A lab that is switched on asks all at once: one change of farm.yaml takes them all. ROMs ask again after 4 s and more (PXE 2.1). */
const batchMilliseconds = 500;

/** How often it is looked whether a window has ended. */
const tickMilliseconds = 5000;

export class Registrar {
  private readonly options: RegistrarOptions;
  private state: Registration;
  private batch: Newcomer[] = [];
  private timer: NodeJS.Timeout | undefined;
  private wait = batchMilliseconds;
  private readonly ticker: NodeJS.Timeout;

  constructor(options: RegistrarOptions) {
    this.options = options;
    this.state = noRegistration(options.clock.now());
    this.published(options.live.published);
    options.live.onPublish((published) => this.published(published));
    this.ticker = setInterval(() => this.step({ kind: 'tick' }), tickMilliseconds).unref();
  }

  /** Answers from memory; what is to be written is written later. */
  readonly seen: Register = (asker, network) => {
    const { unknown } = network;
    if (unknown.kind !== 'register') return { reason: 'unknown-machine', detail: `network ${network.name} registers nobody` };
    const { verdict } = this.step({ kind: 'seen', mac: asker.mac, network: network.name, scope: unknown.scope, client: asker.client });
    if (verdict === undefined || verdict.kind === 'no') return { reason: 'unknown-machine', detail: verdict?.why ?? 'nothing is registered here' };
    if (verdict.kind === 'new') {
      this.batch.push(verdict.newcomer);
      this.timer ??= setTimeout(() => this.flush(), this.wait);
    }
    return { reason: 'registering', detail: `it becomes a node in network ${network.name}: its next question is answered` };
  };

  private published({ farm, byMac }: Published): void {
    this.step({ kind: 'published', policies: registerPolicies(farm), isNode: (mac) => byMac.has(mac) });
  }

  private step(event: RegisterEvent): Outcome {
    const outcome = registerStep(this.state, event, this.options.clock.now());
    this.state = outcome.registration;
    for (const { policy, why, count } of outcome.closed) {
      const remedy = 'change `unknown` in farm.yaml, or restart farm serve, to begin anew';
      this.options.log('warn', 'register.closed', {
        network: policy.scope === '' ? undefined : policy.scope,
        why,
        machines: count,
        limit: policy.limit,
        remedy,
      });
    }
    return outcome;
  }

  /** Adds everybody who waits. If that cannot be, one by one, so that the first are in as long as there is room. */
  private flush(): void {
    this.timer = undefined;
    const batch = this.batch;
    this.batch = [];
    if (batch.length === 0) return;
    const began = this.options.clock.now();
    const error = this.add(batch);
    // Reading farm.yaml holds up every service: in a large farm it may take a tenth of the time, no more.
    this.wait = Math.max(batchMilliseconds, 10 * (this.options.clock.now() - began));
    if (error === undefined || batch.length === 1) return;
    for (const [index, newcomer] of batch.entries()) {
      if (this.add([newcomer]) === undefined) continue;
      this.fail(batch.slice(index + 1));
      return;
    }
  }

  /** What kept them out; undefined if they are in. */
  private add(newcomers: readonly Newcomer[]): unknown {
    const { live, log } = this.options;
    try {
      const { added } = addNodes(
        live.directory,
        newcomers.map(({ mac, network, profile }) => ({ mac, network, ...(profile === 'default' ? {} : { profile }) })),
      );
      for (const { name, id, mac, address, network } of added) log('info', 'register.node', { node: name, id, mac, address, network: network.name });
      return undefined;
    } catch (error) {
      if (newcomers.length === 1) {
        this.fail(newcomers);
        const hint = error instanceof FarmError ? error.hint : undefined;
        log('error', 'register.failed', { mac: newcomers[0]?.mac, error: sentence(error), hint });
      }
      return error;
    }
  }

  private fail(newcomers: readonly Newcomer[]): void {
    this.step({ kind: 'failed', newcomers });
  }

  /** Writes what waits. */
  close(): void {
    clearInterval(this.ticker);
    clearTimeout(this.timer);
    this.flush();
  }
}

/** Every policy of a farm by which machines are registered, each once. */
function registerPolicies({ networks }: Farm): readonly RegisterPolicy[] {
  const policies = new Map<string, RegisterPolicy>();
  for (const { unknown } of networks) {
    if (unknown.kind !== 'register') continue;
    const { scope, limit, windowSeconds, profile } = unknown;
    policies.set(scope, { scope, limit, windowSeconds, profile: profile.name });
  }
  return [...policies.values()];
}
