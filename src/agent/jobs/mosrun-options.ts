// What mosrun and its wrappers were told: their arguments, read as mosrun(1) of openMosix reads them. Pure.
import { FarmError } from '../../base/errors.ts';
import { nodeIdMax } from '../../cluster/map.ts';

/** `here`: at its home. `best`: where the cluster's rules would put it. `one`: on one of these, by chance. */
export type Place = { readonly kind: 'here' } | { readonly kind: 'best' } | { readonly kind: 'one'; readonly nodes: readonly number[] };

/** How much of the job's statistics is kept, thousandths, for each interval of so many seconds. */
export interface Decay {
  readonly keep: number;
  readonly interval: number | undefined;
}

/** What its user has said of a job; goes with it. */
export interface JobOptions {
  /** It is not moved by itself. */
  readonly locked: boolean;
  /** The nodes that it may be on, undefined: all. */
  readonly allowed: readonly number[] | undefined;
  readonly hint: 'cpu' | 'io' | undefined;
  readonly decay: Decay | undefined;
  /** Minutes between checkpoints, undefined: none. */
  readonly checkpoint: number | undefined;
}

export interface Run {
  readonly args: readonly [string, ...string[]];
  /** The id of a job that is to be made again from its last checkpoint, in place of a program. */
  readonly restore: string | undefined;
  /** argv[0], where that is another word. */
  readonly name: string | undefined;
  readonly place: Place;
  /** Anywhere, if it cannot be there. */
  readonly force: boolean;
  readonly options: JobOptions;
}

/** openMosix's slow and fast, as src/cluster/job.ts has them; nodecay keeps all. */
const keeps = { n: 1000, s: 975, f: 926 } as const;
const minutesMax = 7 * 24 * 60;
const secondsMax = 3600;

/** What each name of the program says before its first option. */
const wrappers: Readonly<Record<string, readonly string[]>> = {
  mosrun: [],
  nomig: ['-L'],
  runhome: ['-h', '-L'],
  runon: ['-L'],
  cpujob: ['-c', '-k'],
  iojob: ['-i', '-k'],
  nodecay: ['-n'],
  slowdecay: ['-s'],
  fastdecay: ['-f'],
};

export const mosrunNames: readonly string[] = Object.keys(wrappers);

const usages: Readonly<Record<string, string>> = {
  mosrun: 'mosrun [-h|-ID|-jLIST|-b] [-F] [-l|-L|-k] [-c|-i] [-n|-s|-f|-t SECONDS|-d KEEP] [-A MINUTES] [-z] PROGRAM [ARGUMENT...], or mosrun -R JOB',
  nomig: 'nomig [-z] PROGRAM [ARGUMENT...]',
  runhome: 'runhome [-z] PROGRAM [ARGUMENT...]',
  runon: 'runon ID [-F] [-z] PROGRAM [ARGUMENT...]',
};

interface Said {
  place?: Place;
  fixed: boolean;
  force: boolean;
  lock?: boolean;
  hint?: 'cpu' | 'io';
  keep?: number;
  interval?: number;
  checkpoint?: number;
  restore?: string;
  named: boolean;
}

type Flag = (said: Said) => void;

const flags: Readonly<Record<string, Flag>> = {
  h: (said) => toPlace(said, { kind: 'here' }, true),
  b: (said) => toPlace(said, { kind: 'best' }, false),
  F: (said) => {
    said.force = true;
  },
  l: (said) => {
    said.lock = false;
  },
  L: (said) => {
    said.lock = true;
  },
  // At the start of a job there is no lock to keep.
  k: (said) => {
    said.lock = false;
  },
  c: (said) => {
    said.hint = 'cpu';
  },
  i: (said) => {
    said.hint = 'io';
  },
  n: (said) => {
    said.keep = keeps.n;
  },
  s: (said) => {
    said.keep = keeps.s;
  },
  f: (said) => {
    said.keep = keeps.f;
  },
  z: (said) => {
    said.named = true;
  },
};

const valued: Readonly<Record<string, (said: Said, value: string) => void>> = {
  j: (said, value) => toPlace(said, { kind: 'one', nodes: nodeList(value) }, true),
  t(said, value) {
    said.interval = whole('-t', value, 1, secondsMax, 'seconds');
  },
  d(said, value) {
    said.keep = whole('-d', value, 0, 1000, 'thousandths that are kept');
  },
  A(said, value) {
    said.checkpoint = whole('-A', value, 1, minutesMax, 'minutes');
  },
  R(said, value) {
    if (!/^\d{1,10}-\d{1,10}-\d{1,20}$/.test(value)) throw wrong(`-R wants the id of a job, as farm job list shows it, not "${shown(value)}"`);
    said.restore = value;
  },
};

/** `name`: the one that it was called by. Throws `FarmError` `usage`. */
export function parseMosrun(name: string, args: readonly string[]): Run {
  const usage = usages[name] ?? `${name} [-h|-ID] [-z] PROGRAM [ARGUMENT...]`;
  try {
    return parse(name, args);
  } catch (error) {
    if (!(error instanceof FarmError)) throw error;
    throw new FarmError('usage', error.message, `usage: ${usage}`);
  }
}

function parse(name: string, args: readonly string[]): Run {
  const said: Said = { fixed: false, force: false, named: false };
  const words = [...args];
  if (name === 'runon') toPlace(said, { kind: 'one', nodes: [nodeId(words.shift() ?? '')] }, true);
  for (const word of wrappers[name] ?? []) readOption(said, word, []);
  for (let word = words[0]; word !== undefined && /^-./.test(word); word = words[0]) {
    words.shift();
    if (word === '--') break;
    readOption(said, word, words);
  }
  const [program, ...rest] = said.restore === undefined ? words : [said.restore, ...words];
  if (said.restore !== undefined && (words.length > 0 || said.named || said.place !== undefined)) {
    throw wrong('-R stands alone: the job is made again with what it was started with');
  }
  if (program === undefined || program === '') throw wrong('name a program');
  const argv0 = said.named ? rest.shift() : undefined;
  if (said.named && argv0 === undefined) throw wrong('-z wants the name that the program gets after the program');
  return { args: [program, ...rest], restore: said.restore, name: argv0, place: said.place ?? { kind: 'here' }, force: said.force, options: chosen(said) };
}

/** `rest`: the words after it, for its value. */
function readOption(said: Said, word: string, rest: string[]): void {
  const letter = word[1] ?? '';
  if (/^-\d+$/.test(word)) {
    toPlace(said, { kind: 'one', nodes: [nodeId(word.slice(1))] }, true);
    return;
  }
  if (!Object.hasOwn(valued, letter)) {
    for (const each of word.slice(1)) flag(each)(said);
    return;
  }
  const value = word.length > 2 ? word.slice(2) : rest.shift();
  if (value === undefined) throw wrong(`-${letter} wants a value`);
  valued[letter]?.(said, value);
}

function chosen({ place, force, lock, fixed, hint, keep, interval, checkpoint }: Said): JobOptions {
  return {
    locked: lock ?? fixed,
    allowed: place?.kind === 'one' && place.nodes.length > 1 && !force ? place.nodes : undefined,
    hint,
    decay: keep === undefined && interval === undefined ? undefined : { keep: keep ?? keeps.s, interval },
    checkpoint,
  };
}

function flag(letter: string): Flag {
  const found = Object.hasOwn(flags, letter) ? flags[letter] : undefined;
  if (found !== undefined) return found;
  throw wrong(`-${letter.replace(/[^\x21-\x7e]/, '?')} is no option`);
}

function toPlace(said: Said, place: Place, fixed: boolean): void {
  if (said.place !== undefined) throw wrong('say one place: -h, -ID, -jLIST or -b');
  said.place = place;
  said.fixed = fixed;
}

function nodeList(text: string): readonly number[] {
  const nodes = new Set<number>();
  for (const part of text.split(',')) {
    const [, first, last] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part) ?? [];
    if (first === undefined) throw wrong(`"${shown(text)}" is no list of nodes: write ids and ranges, 1-3,7`);
    const [from, to] = [nodeId(first), nodeId(last ?? first)];
    if (to < from) throw wrong(`the range ${part} goes down`);
    for (let id = from; id <= to; id += 1) nodes.add(id);
  }
  return [...nodes];
}

function nodeId(text: string): number {
  const id = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (id >= 1 && id <= nodeIdMax) return id;
  throw wrong(`"${shown(text)}" is no node's id`);
}

function whole(option: string, text: string, least: number, most: number, what: string): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : -1;
  if (value >= least && value <= most) return value;
  throw wrong(`${option} wants ${least} to ${most} ${what}, not "${shown(text)}"`);
}

function shown(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 60);
}

function wrong(message: string): FarmError {
  return new FarmError('usage', message);
}
