// What a node's agent tells the server: JSON in the body of POST /agent/report. Read by hand, for it comes from the network.
import { WireError } from '../base/errors.ts';
import { type Facts, flagsWhere, type Measures } from './entry.ts';
import { nodeIdMax } from './map.ts';
import { type MemberState, type MemberTable, memberStates } from './members.ts';

/** The resource on the farm's HTTP server that takes reports. */
export const reportPath = '/agent/report';

/** Milliseconds between two reports of an agent that has nothing new to say. */
export const reportInterval = 5000;

/** The largest is the speaker's: 200 members with all that is known of them, some 100 KB; more than this is not read. */
export const reportBytesMax = 160 * 1024;

/** How many members a report names: what N nodes send must not grow with N squared. The totals are in `counts`. */
export const reportedMembersMax = 64;

/** Of how many members one report has all that is known. One node, the speaker, tells of all, so many at a time: of 1,000 in 25 s. */
export const seenMax = 200;

/** `agent`: the agent runs; `up`: systemd says that the boot is complete; `leaving`: the agent was asked to end. */
export type Stage = 'agent' | 'up' | 'leaving';

const stages: readonly Stage[] = ['agent', 'up', 'leaving'];

interface ReportedMember {
  readonly id: number;
  readonly state: MemberState;
  /** Seconds since it was last heard of; absent if it never was. */
  readonly age?: number;
}

type MemberCounts = Readonly<Record<MemberState, number>>;

/** A member as the reporting one sees it: what the server knows of the cluster. */
export interface SeenMember {
  readonly id: number;
  readonly state: MemberState;
  /** Seconds since it said this. */
  readonly age: number;
  readonly facts: Facts;
}

export interface AgentReport {
  /** openMosix load units. */
  readonly load: number;
  readonly cpus: number;
  /** Bytes. */
  readonly memory: { readonly total: number; readonly available: number };
  /** Host name. */
  readonly name: string;
  /** Its number in openmosix.map. */
  readonly id: number;
  /** As in its announcements: larger after each start. */
  readonly incarnation: number;
  readonly stage: Stage;
  /** What `systemctl is-system-running` says, e.g. `starting`, `running`, `degraded`. */
  readonly system: string;
  /** Seconds since the kernel started. */
  readonly uptime: number;
  /** The other nodes of the map: how many are in each state. */
  readonly counts: MemberCounts;
  /** At most 64 of them: first those in trouble, then the alive, then the unknown. */
  readonly members: readonly ReportedMember[];
  /** This node itself, and from the speaker the next up to 200 of the others of whom anything is known. */
  readonly seen: readonly SeenMember[];
  /** The agent's version. */
  readonly version: string;
}

const urgency: Readonly<Record<MemberState, number>> = { suspect: 0, dead: 1, left: 2, alive: 3, unknown: 4 };

/** The part of a report that is about the others. */
export function reportMembers(table: MemberTable, now: number): Pick<AgentReport, 'counts' | 'members'> {
  const counts = { unknown: 0, alive: 0, suspect: 0, dead: 0, left: 0 };
  const all: ReportedMember[] = [];
  for (const [id, { state, madeAt, facts }] of table.members) {
    counts[state] += 1;
    all.push(facts === undefined ? { id, state } : { id, state, age: seconds(now - madeAt) });
  }
  all.sort((a, b) => urgency[a.state] - urgency[b.state] || a.id - b.id);
  return { counts, members: all.slice(0, reportedMembersMax) };
}

/** Whether it is for this member to tell the server of all: it has the lowest id of those alive, as far as it knows. */
export function isSpeaker(table: MemberTable): boolean {
  return table.live.every((id) => id > table.self);
}

/** Ourselves, and if we are the speaker the next members after id `after`, round and round. */
export function reportSeen(table: MemberTable, after: number, now: number): readonly SeenMember[] {
  const self: SeenMember = { id: table.self, state: 'alive', age: seconds(now - table.beatAt), facts: table.facts };
  if (!isSpeaker(table)) return [self];
  const known = [...table.members.values()].flatMap(({ id, state, madeAt, facts }) =>
    facts === undefined ? [] : [{ id, state, age: seconds(now - madeAt), facts }],
  );
  known.sort((a, b) => a.id - b.id);
  const first = Math.max(
    0,
    known.findIndex(({ id }) => id > after),
  );
  return [self, ...known.slice(first), ...known.slice(0, first)].slice(0, seenMax);
}

function seconds(milliseconds: number): number {
  return Math.max(0, Math.round(milliseconds / 100) / 10);
}

/** Checks what JSON.parse made of a body and copies what belongs to a report. Throws `WireError` `report.<field>`; fields it does not know are left out. */
export function parseAgentReport(json: unknown): AgentReport {
  const fields = record(json, 'body');
  return {
    name: text(fields.get('name'), 'name', /^[a-zA-Z0-9][\w.-]{0,252}$/),
    id: number(fields.get('id'), 'id', 1, nodeIdMax, true),
    incarnation: number(fields.get('incarnation'), 'incarnation', 0, Number.MAX_SAFE_INTEGER, true),
    stage: oneOf(fields.get('stage'), 'stage', stages),
    system: text(fields.get('system'), 'system', /^[a-z-]{1,32}$/),
    uptime: number(fields.get('uptime'), 'uptime', 0, Number.MAX_SAFE_INTEGER),
    load: number(fields.get('load'), 'load', 0, 2 ** 32),
    cpus: number(fields.get('cpus'), 'cpus', 1, 65535, true),
    memory: parseMemory(fields.get('memory')),
    counts: parseCounts(fields.get('counts')),
    members: parseMembers(fields.get('members')),
    seen: parseSeen(fields.get('seen')),
    version: text(fields.get('version'), 'version', /^[\w.+-]{1,32}$/),
  };
}

function bad(field: string, wanted: string): WireError {
  return new WireError(`report.${field}`, 0, `the report's ${field} is not ${wanted}`);
}

function record(value: unknown, field: string): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(field, 'an object');
  return new Map(Object.entries(value));
}

function text(value: unknown, field: string, shape: RegExp): string {
  if (typeof value !== 'string' || !shape.test(value)) throw bad(field, 'the text it should be');
  return value;
}

function number(value: unknown, field: string, least: number, most: number, whole = false): number {
  if (typeof value !== 'number' || !(value >= least && value <= most) || (whole && !Number.isInteger(value))) {
    throw bad(field, `a ${whole ? 'whole ' : ''}number from ${least} to ${most}`);
  }
  return value;
}

function oneOf<Word extends string>(value: unknown, field: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === value);
  if (found === undefined) throw bad(field, `one of ${words.join(', ')}`);
  return found;
}

function parseMemory(value: unknown): AgentReport['memory'] {
  const fields = record(value, 'memory');
  const total = number(fields.get('total'), 'memory', 0, Number.MAX_SAFE_INTEGER, true);
  return { total, available: number(fields.get('available'), 'memory', 0, total, true) };
}

function parseCounts(value: unknown): MemberCounts {
  const fields = record(value, 'counts');
  const count = (state: MemberState) => number(fields.get(state), 'counts', 0, nodeIdMax, true);
  return { unknown: count('unknown'), alive: count('alive'), suspect: count('suspect'), dead: count('dead'), left: count('left') };
}

function parseMembers(value: unknown): ReportedMember[] {
  if (!Array.isArray(value) || value.length > reportedMembersMax) throw bad('members', `a list of at most ${reportedMembersMax}`);
  return value.map((item: unknown) => {
    const fields = record(item, 'members');
    const id = number(fields.get('id'), 'members', 1, nodeIdMax, true);
    const state = oneOf(fields.get('state'), 'members', memberStates);
    const age = fields.get('age');
    return age === undefined ? { id, state } : { id, state, age: number(age, 'members', 0, Number.MAX_SAFE_INTEGER) };
  });
}

function parseSeen(value: unknown): SeenMember[] {
  if (!Array.isArray(value) || value.length > seenMax) throw bad('seen', `a list of at most ${seenMax}`);
  return value.map((item: unknown) => {
    const fields = record(item, 'seen');
    const id = number(fields.get('id'), 'seen', 1, nodeIdMax, true);
    const state = oneOf(fields.get('state'), 'seen', memberStates);
    return { id, state, age: amount(fields.get('age')), facts: parseFacts(record(fields.get('facts'), 'seen')) };
  });
}

function parseFacts(fields: ReadonlyMap<string, unknown>): Facts {
  const said = record(fields.get('flags'), 'seen');
  const measures = fields.get('measures');
  return {
    flags: flagsWhere((name) => said.get(name) === true),
    guests: number(fields.get('guests'), 'seen', 0, 0xffff, true),
    version: text(fields.get('version'), 'seen', /^[\w.+-]{1,32}$/),
    speed: number(fields.get('speed'), 'seen', 1, 2 ** 32, true),
    cpus: number(fields.get('cpus'), 'seen', 1, 65535, true),
    measures: measures === undefined ? undefined : parseMeasures(record(measures, 'seen')),
  };
}

function parseMeasures(fields: ReadonlyMap<string, unknown>): Measures {
  const [memory, rates, pressure] = [record(fields.get('memory'), 'seen'), record(fields.get('rates'), 'seen'), record(fields.get('pressure'), 'seen')];
  const of = (group: ReadonlyMap<string, unknown>, name: string) => amount(group.get(name));
  return {
    load: amount(fields.get('load')),
    utilization: number(fields.get('utilization'), 'seen', 0, 1),
    memory: {
      total: of(memory, 'total'),
      free: of(memory, 'free'),
      usable: of(memory, 'usable'),
      swapTotal: of(memory, 'swapTotal'),
      swapFree: of(memory, 'swapFree'),
    },
    rates: {
      networkIn: of(rates, 'networkIn'),
      networkOut: of(rates, 'networkOut'),
      diskRead: of(rates, 'diskRead'),
      diskWrite: of(rates, 'diskWrite'),
    },
    pressure: { cpu: of(pressure, 'cpu'), memory: of(pressure, 'memory'), io: of(pressure, 'io') },
  };
}

function amount(value: unknown): number {
  return number(value, 'seen', 0, Number.MAX_SAFE_INTEGER);
}
