// What a node's agent tells the server: JSON in the body of POST /agent/report. Read by hand, for it comes from the network.
import { WireError } from '../base/errors.ts';
import type { Sample } from './announce.ts';
import { nodeIdMax } from './map.ts';
import { type MemberState, type MemberTable, memberStates } from './members.ts';

/** The resource on the farm's HTTP server that takes reports. */
export const reportPath = '/agent/report';

/** Milliseconds between two reports of an agent that has nothing new to say. */
export const reportInterval = 5000;

/** A report of 64 members has some 4 KB; more than this is not read. */
export const reportBytesMax = 16 * 1024;

/** How many members a report names: what N nodes send must not grow with N squared. The totals are in `counts`. */
export const reportedMembersMax = 64;

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

export interface AgentReport extends Sample {
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
  /** The agent's version. */
  readonly version: string;
}

const urgency: Readonly<Record<MemberState, number>> = { suspect: 0, dead: 1, left: 2, alive: 3, unknown: 4 };

/** The part of a report that is about the others. */
export function reportMembers(table: MemberTable, now: number): Pick<AgentReport, 'counts' | 'members'> {
  const counts = { unknown: 0, alive: 0, suspect: 0, dead: 0, left: 0 };
  const all: ReportedMember[] = [];
  for (const [id, { state, heardAt }] of table.members) {
    counts[state] += 1;
    all.push(heardAt === undefined ? { id, state } : { id, state, age: Math.max(0, Math.round((now - heardAt) / 100) / 10) });
  }
  all.sort((a, b) => urgency[a.state] - urgency[b.state] || a.id - b.id);
  return { counts, members: all.slice(0, reportedMembersMax) };
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
    load: number(fields.get('load'), 'load', 0, 1e6),
    cpus: number(fields.get('cpus'), 'cpus', 1, 65535, true),
    memory: parseMemory(fields.get('memory')),
    counts: parseCounts(fields.get('counts')),
    members: parseMembers(fields.get('members')),
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

function parseMemory(value: unknown): Sample['memory'] {
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
