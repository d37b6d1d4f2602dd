// Answers router solicitations of machines in their boot loader, so that iPXE does not wait for a router that is not there (RFC 4861).
import type { Mac } from '../base/addresses.ts';
import type { Clock } from '../base/clock.ts';
import { sentence, WireError } from '../base/errors.ts';
import { type FilterInstruction, openFrames } from '../base/frames.ts';
import { type LinkLocal, linkLocal } from '../base/link-local.ts';
import type { Log } from '../base/log.ts';
import type { Service } from '../base/service.ts';
import { advertisement, fullAnswerBudget, judge, readSolicitation } from './advertise.ts';
import { etherTypeIpv6, icmpTypeOffset, nextHeaderOffset } from './frame.ts';

export interface RouterAdvertiserOptions {
  readonly interface: string;
  /** Whether this machine is one of ours and in its boot loader; nobody else gets an answer. Asked for every solicitation. */
  readonly isLoading: (mac: Mac) => boolean;
  readonly log: Log;
  readonly clock: Clock;
}

export interface RouterAdvertiser extends Service {
  /** How often each event happened since the start: `received`, `sent`, `dropped`, `garbage`, `no-address`, and the silences of `judge`. */
  counters(): ReadonlyMap<string, number>;
}

// ldb next header; ICMPv6? ldb type; a router solicitation? whole frame, else nothing.
const solicitationsOnly: readonly FilterInstruction[] = [
  [0x30, 0, 0, nextHeaderOffset],
  [0x15, 0, 3, 58],
  [0x30, 0, 0, icmpTypeOffset],
  [0x15, 0, 1, 133],
  [0x06, 0, 0, 0xffff],
  [0x06, 0, 0, 0],
];

/** ff02::2, RFC 4291 2.7.1. A switch that snoops MLD passes solicitations on only to those who joined. */
const allRouters = Buffer.from('ff020000000000000000000000000002', 'hex');

/** What the operator loses; told with every reason for it. */
const consequence = 'iPXE waits 4 to 16 s for an IPv6 router at each boot';

/** Never throws: a farm without it boots as well, only later. What is in the way is logged, and tried again. */
export async function startRouterAdvertiser(options: RouterAdvertiserOptions): Promise<RouterAdvertiser> {
  const { interface: name, isLoading, log, clock } = options;
  const counters = new Map<string, number>();
  const count = (what: string) => counters.set(what, (counters.get(what) ?? 0) + 1);

  let own: Mac | undefined;
  let budget = fullAnswerBudget(clock.now());
  let trouble: string | undefined;
  let addressKind: LinkLocal['kind'] = 'address';
  const garbage = new Set<string>();

  const sourceAddress = (): Buffer | undefined => {
    const found = linkLocal(name);
    if (found.kind === 'none' && addressKind !== 'none') {
      const hint = `allow IPv6 there with: sysctl -w net.ipv6.conf.${name}.disable_ipv6=0`;
      log('warn', 'ra.no-address', { interface: name, reason: `${name} has no IPv6 link-local address`, consequence, hint });
    }
    addressKind = found.kind;
    return found.kind === 'address' ? found.address : undefined;
  };

  const answer = (bytes: Buffer) => {
    const { frame, message } = readSolicitation(bytes);
    const judged = judge(frame, message, isLoading, budget, clock.now());
    budget = judged.budget;
    const { verdict } = judged;
    if (verdict.kind === 'silent') {
      count(verdict.why);
      log('debug', 'ra.ignore', { mac: frame.from, reason: verdict.why });
      return;
    }
    const source = sourceAddress();
    const sent = source !== undefined && own !== undefined && door.send(advertisement(own, source, verdict.to, verdict.destination));
    count(sent ? 'sent' : source === undefined ? 'no-address' : 'dropped');
    if (sent) log('debug', 'ra.sent', { mac: verdict.to });
  };

  const door = openFrames({
    interface: name,
    etherType: etherTypeIpv6,
    filter: solicitationsOnly,
    groups: [allRouters],
    onOpen: (address) => {
      own = address;
      if (trouble !== undefined) log('info', 'ra.ready', { interface: name });
      trouble = undefined;
    },
    onLost: (error, retryMilliseconds) => {
      own = undefined;
      // Once for each reason: an interface that stays away is tried for ever.
      if (trouble !== error.code) log('warn', 'ra.lost', { interface: name, reason: sentence(error), hint: error.hint, retryMilliseconds, consequence });
      trouble = error.code;
    },
    onFrame: (bytes) => {
      count('received');
      try {
        answer(bytes);
      } catch (error) {
        count('garbage');
        const code = error instanceof WireError ? error.code : 'fault';
        // Once for each kind: anybody on the network can send any number of them.
        if (!garbage.has(code)) log('warn', 'ra.garbage', { interface: name, code, detail: sentence(error) });
        garbage.add(code);
      }
    },
  });
  await door.tried;

  return {
    name: 'ra',
    sockets: own === undefined ? [] : [`icmp6 on ${name}`],
    counters: () => new Map(counters),
    close: () => door.close(),
  };
}
