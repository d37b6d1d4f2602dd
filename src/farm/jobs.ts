// The jobs of all nodes for `farm job`: what their homes say, asked at this moment, and what lies in the place of checkpoints without anybody running it.

import { openStore, type Store } from '../agent/checkpoints/store.ts';
import type { JobSpec } from '../agent/jobs/types.ts';
import { FarmError, sentence, WireError } from '../base/errors.ts';
import { inParallel } from '../base/in-parallel.ts';
import type { HttpAnswer } from '../boot/answers.ts';
import type { HttpRequest } from '../boot/http.ts';
import { checkpointsPath, type JobListed } from '../cluster/job-listed.ts';
import { sharedDirectory } from './directory.ts';
import type { Farm, Node } from './farm.ts';

/** The resource of the control socket. */
export const jobsPath = '/jobs';

/** Nodes that are asked at once. */
const atOnce = 32;
const listPatience = 10_000;
/** A checkpoint of much memory, or a job that is made again on an old machine. */
export const actPatience = 180_000;

/** A job that no home lists: `lost`, its home is gone; `silent`, its home did not answer; `ended`, it was made again without a terminal, and has ended. */
export interface JobLeft {
  readonly id: string;
  /** As in `JobListed`. */
  readonly origin?: string;
  readonly home: number;
  readonly uid: number;
  readonly args: readonly string[];
  readonly state: 'lost' | 'silent' | 'ended';
  /** Of one that has ended. */
  readonly status?: number;
  /** The file on the server with what it wrote since, if nobody had its terminal. */
  readonly output?: string;
  readonly checkpoint?: { readonly number: number; readonly at: number; readonly bytes: number; readonly node: number };
}

export interface JobsSeen {
  readonly jobs: readonly JobListed[];
  readonly left: readonly JobLeft[];
  /** Nodes that are up and did not answer, and why. */
  readonly silent: readonly { readonly node: string; readonly reason: string }[];
}

export type JobOrder =
  | { readonly ask: 'list' }
  | { readonly ask: 'checkpoint'; readonly job: string }
  | { readonly ask: 'restart'; readonly job: string; readonly node?: string }
  | { readonly ask: 'kill'; readonly job: string; readonly signal: string };

export interface JobsOptions {
  readonly farm: () => Farm;
  /** Those whose agents report. */
  readonly up: () => ReadonlySet<string>;
  readonly ask: (node: Node, question: object, patience: number) => Promise<unknown>;
}

/** Answers the control socket. Throws nothing that is the asker's fault. */
export async function onJobs({ method, body }: HttpRequest, options: JobsOptions): Promise<HttpAnswer> {
  if (method !== 'POST') return { kind: 'error', status: 405, message: 'questions about jobs are posted' };
  try {
    return { kind: 'json', value: { ok: await carryOut(JSON.parse((body ?? Buffer.alloc(0)).toString()), options) } };
  } catch (error) {
    if (error instanceof FarmError) return { kind: 'json', value: { error: { code: error.code, message: error.message, hint: error.hint } } };
    if (error instanceof SyntaxError || error instanceof WireError) return { kind: 'error', status: 400, message: sentence(error) };
    throw error;
  }
}

async function carryOut(order: JobOrder, options: JobsOptions): Promise<unknown> {
  const seen = await look(options);
  if (order.ask === 'list') return seen;
  const { farm, ask } = options;
  const found = findJob(seen, order.job);
  const home = farm().nodes.find(({ id }) => id === found.home);
  const known = 'node' in found && home !== undefined;
  if (!known && found.state === 'silent')
    throw new FarmError('job.silent', `the home of job ${found.id} does not answer`, 'farm status shows whether it is up');
  switch (order.ask) {
    case 'checkpoint':
      if (!known) throw new FarmError('job.lost', `job ${found.id} does not run`, 'farm job restart makes it again');
      return { job: found.id, ...Object(await ask(home, { ask: 'checkpoint', job: found.id }, actPatience)) };
    case 'restart':
      return known ? await back(found.id, home, order.node, options) : await again(found, order.node, options);
    case 'kill':
      if (known) await ask(home, { ask: 'kill', job: found.id, signal: order.signal }, listPatience);
      else await storeOf(farm()).remove(await keyIn(storeOf(farm()), found.id));
      return { job: found.id, done: known ? 'told' : 'removed' };
  }
}

/** Of one that runs. */
async function back(job: string, home: Node, to: string | undefined, { farm, ask }: JobsOptions): Promise<object> {
  const node = to === undefined ? undefined : nodeNamed(farm(), to);
  const answer = await ask(home, { ask: 'restart', job, ...(node === undefined ? {} : { node: node.id }) }, actPatience);
  const at = typeof answer === 'object' && answer !== null && 'node' in answer ? answer.node : undefined;
  return { job, node: farm().nodes.find(({ id }) => id === at)?.name ?? String(at) };
}

/** Of one that nobody has: that node, or the first that is up, becomes its home. */
async function again(found: JobListed | JobLeft, to: string | undefined, { farm, up, ask }: JobsOptions): Promise<object> {
  if (found.state === 'ended') throw new FarmError('job.ended', `job ${found.id} has ended`, 'farm job show has its status');
  const all = up();
  const node = to === undefined ? farm().nodes.find(({ name }) => all.has(name)) : nodeNamed(farm(), to);
  if (node === undefined) throw new FarmError('node.down', 'no node is up', 'farm status shows them');
  await ask(node, { ask: 'restore', job: found.id }, actPatience);
  return { job: found.id, node: node.name };
}

function nodeNamed(farm: Farm, name: string): Node {
  const node = farm.nodes.find((each) => each.name === name);
  if (node === undefined) throw new FarmError('node.unknown', `there is no node ${name}`, 'farm node list shows them');
  return node;
}

async function look(options: JobsOptions): Promise<JobsSeen> {
  const { farm, up } = options;
  const all = up();
  const silent: { node: string; reason: string }[] = [];
  const lists = await inParallel(
    farm().nodes.filter(({ name }) => all.has(name)),
    atOnce,
    async (node) => {
      try {
        return await listOf(node, options);
      } catch (error) {
        if (!(error instanceof FarmError || error instanceof WireError)) throw error;
        silent.push({ node: node.name, reason: sentence(error) });
        return [];
      }
    },
  );
  const jobs = lists.flat().sort((one, other) => one.home - other.home || one.began - other.began);
  const quiet = new Set(farm().nodes.flatMap(({ id, name }) => (silent.some(({ node }) => node === name) ? [id] : [])));
  return { jobs, left: await leftOf(farm(), new Set(jobs.map(({ id }) => id)), quiet), silent };
}

async function listOf(node: Node, { ask }: JobsOptions): Promise<readonly JobListed[]> {
  const jobs: JobListed[] = [];
  for (let more = true; more; ) {
    // Who has the farm's key says this; it is shown, and nothing is done by it but asking that node again.
    const answer = (await ask(node, { ask: 'list', from: jobs.length }, listPatience)) as { readonly jobs: readonly JobListed[]; readonly more: boolean };
    jobs.push(...answer.jobs.filter(({ home }) => home === node.id));
    more = answer.more && answer.jobs.length > 0;
  }
  return jobs;
}

function storeOf(farm: Pick<Farm, 'directory'>): Store {
  return openStore(() => Promise.resolve(sharedDirectory(farm.directory, checkpointsPath)));
}

async function leftOf(farm: Farm, listed: ReadonlySet<string>, quiet: ReadonlySet<number>): Promise<readonly JobLeft[]> {
  const store = storeOf(farm);
  const left: JobLeft[] = [];
  for (const key of await store.keys()) {
    const spec = await store.current(key);
    const end = await store.endOf(key);
    if (spec === undefined && end === undefined) continue;
    if (spec !== undefined && listed.has(spec.id)) continue;
    const [newest] = await store.checkpoints(key);
    const { home = Number(key.split('-')[0]), uid = 0, args = [], id = key }: Partial<JobSpec> = spec ?? end?.spec ?? {};
    const state = end !== undefined && end.status !== undefined ? 'ended' : quiet.has(home) ? 'silent' : 'lost';
    left.push({
      ...{ id, home, uid, args, state },
      ...originOf(id, key),
      ...(end?.status === undefined ? {} : { status: end.status }),
      ...(end === undefined ? {} : { output: end.output }),
      ...(newest === undefined ? {} : { checkpoint: { number: newest.number, at: newest.at, bytes: newest.bytes, node: newest.node } }),
    });
  }
  return left;
}

function originOf(id: string, key: string): { readonly origin?: string } {
  return id === key ? {} : { origin: key };
}

async function keyIn(store: Store, id: string): Promise<string> {
  for (const key of await store.keys()) {
    const spec = (await store.current(key)) ?? (await store.endOf(key))?.spec;
    if (key === id || spec?.id === id) return key;
  }
  return id;
}

type Named = Pick<JobListed, 'id' | 'origin'>;

/** By its id, the one that it had first, or a beginning of its id that no other has: `3-1042`. Throws `FarmError` `job.unknown`, `job.several`. */
export function findJob<Job extends Named, Left extends Named>(
  { jobs, left }: { readonly jobs: readonly Job[]; readonly left: readonly Left[] },
  id: string,
): Job | Left {
  const found = [...jobs, ...left].filter((job) => job.id === id || job.origin === id || job.id.startsWith(`${id}-`));
  const [first, second] = found;
  if (first === undefined) throw new FarmError('job.unknown', `there is no job ${id.replace(/[^\x20-\x7e]/g, '?').slice(0, 60)}`, 'farm job list shows them');
  if (second !== undefined) throw new FarmError('job.several', `several jobs begin with ${id}: ${found.map((job) => job.id).join(', ')}`, 'write the whole id');
  return first;
}
