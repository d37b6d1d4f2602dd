// mosctl: a node's administration, and what it knows of the others. openMosix mosctl(1), facts sheet 3.2.
import { FarmError } from '../../base/errors.ts';
import { decayKeeps } from '../../cluster/job.ts';
import { isThere, utilizability } from '../../cluster/status-bits.ts';
import type { HpcNode } from '../hpc/source.ts';
import { allNodes, findNode, selfNode } from './hpc.ts';
import { done, misuse, no, type Tool, type World } from './tool.ts';

export const usage = `mosctl stay|nostay|lstay|nolstay|block|noblock|quiet|noquiet|mfs|nomfs
mosctl expel|bring
mosctl whois [ID|IP|NAME]
mosctl getload|getspeed|getutil|getmem|getfree|status|isup [ID|IP|NAME]
mosctl setspeed NUMBER
mosctl getyard|setyard YARD|gettune|getdecay|setdecay INTERVAL [SLOW FAST]`;

/** What 10000 of speed and 100 of load are: openMosix's unit, which the agent measures this node with. */
const standardSpeed = 10_000;

/** Seconds after which a job's statistics fade by one step. */
const decayInterval = 1;

/** How often `expel` and `bring` look whether the last has gone, ms. */
const look = 1000;

type Command = (words: readonly string[], world: World) => number | Promise<number>;

/** On and off for each flag; `-stay` is an old spelling of `nostay`. */
const flagCommands = Object.fromEntries(
  ['stay', 'lstay', 'block', 'quiet'].flatMap((flag) => [
    [flag, setting(flag, true)],
    [`no${flag}`, setting(flag, false)],
    [`-${flag}`, setting(flag, false)],
  ]),
);

const commands: Readonly<Record<string, Command>> = {
  ...flagCommands,
  mfs: setting('nomfs', false),
  nomfs: setting('nomfs', true),
  '-mfs': setting('nomfs', true),
  expel: leaving('expel'),
  bring: leaving('bring'),
  whois,
  getload: telling((node) => String(Math.round(node.load))),
  getspeed: telling((node) => String(Math.round(node.speed))),
  getutil: telling((node) => String(Math.round(utilizability(node)))),
  getmem: telling(({ memory }) => `${memory.usable} of ${memory.total} bytes`),
  getfree: telling(({ memory }) => `${memory.free} of ${memory.total} bytes`),
  status,
  isup,
  setspeed,
  getyard: (words, { out }) => {
    nothingMore(words);
    out(`${standardSpeed}\n`);
    return done;
  },
  setyard: () => {
    throw new FarmError(
      'yard.fixed',
      `the yardstick is the standard processor, ${standardSpeed}, on all nodes`,
      'the agent has measured this node with it; mosctl setspeed NUMBER overrides what it found',
    );
  },
  gettune: () => {
    throw new FarmError('tune.measured', 'what a move costs is measured as moves are made, not set', 'journalctl -u farm-agent has each: move.done');
  },
  getdecay: (words, { out }) => {
    nothingMore(words);
    out(`${decayInterval} ${decayKeeps.slow} ${decayKeeps.fast}\n`);
    return done;
  },
  setdecay: () => {
    throw new FarmError('decay.fixed', "a job's numbers fade by openMosix's own figures, on all nodes", 'mosrun -s, -f and -n choose among them for a job');
  },
};

export const mosctl: Tool = (args, world) => {
  const [name = '', ...words] = args;
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) throw misuse(name === '' ? 'say what to do' : `"${name}" is no command of mosctl`, usage);
  return command(words, world);
};

function nothingMore(words: readonly string[]): void {
  if (words.length > 0) throw misuse(`"${words[0]}" is one word too many`, usage);
}

function setting(flag: string, on: boolean): Command {
  return (words, { hpc }) => {
    nothingMore(words);
    selfNode(hpc);
    hpc.write(`admin/${flag}`, on ? '1\n' : '0\n');
    return done;
  };
}

/** Until all are gone, or the user has waited enough. */
function leaving(order: 'expel' | 'bring'): Command {
  return async (words, world) => {
    nothingMore(words);
    const { hpc, out } = world;
    selfNode(hpc);
    hpc.write(`admin/${order}`, '1\n');
    for (;;) {
      const { guests, abroad } = selfNode(hpc);
      const left = order === 'bring' ? abroad : guests;
      if (left === 0) return done;
      const what = order === 'bring' ? ['job is abroad', 'jobs are abroad'] : ['guest is leaving', 'guests are leaving'];
      out(`${left} ${left === 1 ? what[0] : what[1]}\n`);
      if (await world.pause(look)) return no;
    }
  };
}

function chosen(words: readonly string[], { hpc }: World): HpcNode {
  nothingMore(words.slice(1));
  const [which] = words;
  const self = selfNode(hpc);
  return which === undefined || which === '0' ? self : findNode(allNodes(hpc), which);
}

function telling(text: (node: HpcNode) => string): Command {
  return (words, world) => {
    const node = chosen(words, world);
    if (!isThere(node.status)) throw new FarmError('node.down', `node ${node.id} is ${node.status}`, 'mosctl isup asks without failing');
    world.out(`${text(node)}\n`);
    return done;
  };
}

function whois(words: readonly string[], world: World): number {
  const { id, name, address } = chosen(words, world);
  world.out(`${words.length === 0 ? 'This is ' : ''}openMosix #${id}${words.length === 0 ? ',' : ' is'} ${name} at ${address}\n`);
  return done;
}

const flagWords = { stay: 'stay', lstay: 'lstay', block: 'block', quiet: 'quiet', nomfs: 'nomfs', expel: 'expelling' } as const;

function status(words: readonly string[], world: World): number {
  const node = chosen(words, world);
  const on = Object.entries(flagWords).flatMap(([flag, word]) => (node.flags[flag as keyof typeof flagWords] ? [word] : []));
  world.out(`${[node.status, ...(isThere(node.status) ? on : [])].join(' ')}\n`);
  return done;
}

function isup(words: readonly string[], world: World): number {
  const up = isThere(chosen(words, world).status);
  world.out(up ? 'yes\n' : 'no\n');
  return up ? done : no;
}

function setspeed(words: readonly string[], { hpc }: World): number {
  const [speed] = words;
  nothingMore(words.slice(1));
  if (speed === undefined || !/^\d{1,8}$/.test(speed)) throw misuse(`${speed === undefined ? 'nothing' : `"${speed}"`} is no speed`, usage);
  selfNode(hpc);
  hpc.write('admin/speed', `${Number(speed)}\n`);
  return done;
}
