// farm job: the jobs of all nodes, from the server: listed, checkpointed, taken back to a checkpoint, ended.
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { constants } from 'node:os';
import { basename } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { FarmError, systemCode } from '../base/errors.ts';
import type { JobListed } from '../cluster/job-listed.ts';
import { loadFarm } from '../farm/config.ts';
import { controlSocket } from '../farm/directory.ts';
import type { Farm } from '../farm/farm.ts';
import { actPatience, findJob, type JobLeft, type JobOrder, type JobsSeen, jobsPath } from '../farm/jobs.ts';
import { farmDirectory, table } from './options.ts';

const unable = 2;
const idArgument = 'the id of a job, or a beginning of it that no other has: 3-1042';

interface JsonOption {
  readonly json?: boolean;
}

export function jobCommand(): Command {
  const command = new Command('job').description('the jobs of all nodes: list, show, checkpoint, restart, kill');
  for (const part of [jobList(), jobShow(), jobCheckpoint(), jobRestart(), jobKill()]) command.addCommand(part);
  return command;
}

function jobList(): Command {
  return new Command('list')
    .description('every job that mosrun started, where it runs, and its last checkpoint')
    .option('--json', 'for programs')
    .action(async ({ json }: JsonOption, command: Command) => {
      const directory = farmDirectory(command);
      const farm = loadFarm(directory);
      const seen = await order<JobsSeen>(directory, { ask: 'list' });
      if (json === true) console.log(JSON.stringify(seen, undefined, 2));
      else process.stdout.write(listText(farm, seen, Date.now()));
      complain(seen, json === true);
    });
}

function jobShow(): Command {
  return new Command('show')
    .description('all that is known of one job')
    .argument('<id>', idArgument)
    .option('--json', 'for programs')
    .action(async (id: string, { json }: JsonOption, command: Command) => {
      const directory = farmDirectory(command);
      const farm = loadFarm(directory);
      const seen = await order<JobsSeen>(directory, { ask: 'list' });
      const job = findJob(seen, id);
      if (json === true) console.log(JSON.stringify(job, undefined, 2));
      else process.stdout.write(showText(farm, job, Date.now()));
    });
}

function jobCheckpoint(): Command {
  return new Command('checkpoint')
    .description('make a checkpoint of a job now; it runs on')
    .argument('<id>', idArgument)
    .option('--json', 'for programs')
    .action(async (id: string, { json }: JsonOption, command: Command) => {
      const made = await order<{ readonly job: string; readonly number: number; readonly bytes: number }>(farmDirectory(command), {
        ask: 'checkpoint',
        job: id,
      });
      console.log(json === true ? JSON.stringify(made, undefined, 2) : `job ${made.job}: checkpoint ${made.number}, ${megabytes(made.bytes)} MB`);
    });
}

function jobRestart(): Command {
  return new Command('restart')
    .description('take a job back to its last checkpoint, or make one again whose home is lost')
    .argument('<id>', idArgument)
    .option('--node <name>', 'on this node; without it where it does best')
    .option('--json', 'for programs')
    .action(async (id: string, { node, json }: JsonOption & { readonly node?: string }, command: Command) => {
      const made = await order<{ readonly job: string; readonly node: string }>(farmDirectory(command), {
        ...{ ask: 'restart', job: id },
        ...(node === undefined ? {} : { node }),
      });
      console.log(json === true ? JSON.stringify(made, undefined, 2) : `job ${made.job} is made again on ${made.node}`);
    });
}

function jobKill(): Command {
  return new Command('kill')
    .description('signal a job; of one whose home is lost, remove its checkpoints')
    .argument('<id>', idArgument)
    .option('--signal <name>', 'another signal than TERM: KILL, USR1, ...', signalArgument, 'SIGTERM')
    .option('--json', 'for programs')
    .action(async (id: string, { signal, json }: JsonOption & { readonly signal: string }, command: Command) => {
      const did = await order<{ readonly job: string; readonly done: 'told' | 'removed' }>(farmDirectory(command), { ask: 'kill', job: id, signal });
      if (json === true) console.log(JSON.stringify(did, undefined, 2));
      else if (did.done === 'removed') console.log(`job ${did.job} did not run; its checkpoints are removed`);
    });
}

function signalArgument(text: string): string {
  const name = `SIG${text.toUpperCase().replace(/^SIG/, '')}`;
  const byNumber = Object.entries(constants.signals).find(([, number]) => String(number) === text)?.[0];
  if (byNumber !== undefined) return byNumber;
  if (Object.hasOwn(constants.signals, name)) return name;
  throw new InvalidArgumentError('Write the name of a signal, such as TERM, KILL or USR1, or its number.');
}

function listText(farm: Farm, { jobs, left }: JobsSeen, now: number): string {
  if (jobs.length + left.length === 0) return 'No jobs. mosrun on a node starts one.\n';
  const name = namesOf(farm);
  const rows = jobs.map((job) => {
    const { id, home, node, uid, command, cpu, memory, moves, state, checkpoint } = job;
    return [id, name(home), name(node), userOf(farm, uid), command, cpu.toFixed(2), megabytes(memory), String(moves), state, age(checkpoint?.at, now)];
  });
  const others = left.map(({ id, home, uid, args: [program = '-'], state, checkpoint }) => [
    ...[id, name(home), '-', userOf(farm, uid), basename(program), '-', '-', '-', state, age(checkpoint?.at, now)],
  ]);
  return table([['JOB', 'HOME', 'NODE', 'USER', 'COMMAND', 'CPU', 'MB', 'MOVES', 'STATE', 'CHECKPOINT'], ...rows, ...others]);
}

function showText(farm: Farm, job: JobListed | JobLeft, now: number): string {
  const name = namesOf(farm);
  const lines: (readonly [string, string])[] = [
    ['job', job.id],
    ['command', job.args.join(' ')],
    ...(job.origin === undefined ? [] : [['was first', job.origin] as const]),
    ['user', userOf(farm, job.uid)],
    ['home', name(job.home)],
    ['state', job.state === 'ended' && 'status' in job ? `ended with status ${job.status}` : job.state],
  ];
  if ('node' in job) {
    lines.push(['node', job.goingTo === undefined ? name(job.node) : `${name(job.node)}, on its way to ${name(job.goingTo)}`]);
    lines.push(['pid at home', String(job.pid)], ['directory', job.directory], ['began', age(job.began, now)], ['moves', String(job.moves)]);
    lines.push(['cpu', `${job.cpu.toFixed(2)}, ${Math.round(job.used / 1000)} s used`], ['memory', `${megabytes(job.memory)} MB`]);
    if (job.locked) lines.push(['locked', 'the balancer leaves it where it is']);
    for (const why of job.cannotMove) lines.push(['cannot move', why]);
    if (job.every !== undefined) lines.push(['checkpoints', `every ${job.every} min`]);
    if (job.unsaved !== undefined) lines.push(['no checkpoint', job.unsaved]);
  } else if (job.output !== undefined) lines.push(['output', job.output]);
  const { checkpoint } = job;
  if (checkpoint !== undefined) {
    lines.push(['checkpoint', `number ${checkpoint.number}, ${age(checkpoint.at, now)}, ${megabytes(checkpoint.bytes)} MB, made on ${name(checkpoint.node)}`]);
  }
  return table(lines.map(([key, value]) => [key, printable(value)]));
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}

function namesOf({ nodes }: Farm): (id: number) => string {
  const names = new Map(nodes.map(({ id, name }) => [id, name]));
  return (id) => names.get(id) ?? String(id);
}

function userOf({ users }: Farm, uid: number): string {
  return uid === 0 ? 'root' : (users.find((user) => user.uid === uid)?.name ?? String(uid));
}

function megabytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0);
}

function age(at: number | undefined, now: number): string {
  if (at === undefined) return '-';
  const seconds = Math.max(0, Math.round((now - at) / 1000));
  return seconds < 120 ? `${seconds} s ago` : seconds < 7200 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
}

/** What is not known is no failure of what is. */
function complain({ silent }: JobsSeen, json: boolean): void {
  if (silent.length === 0) return;
  process.exitCode = unable;
  if (json) return;
  for (const { node, reason } of silent) process.stderr.write(`${node}: its jobs are not known: ${reason}\n`);
}

/** Throws `FarmError` `serve.absent`, and what server and agents throw. */
async function order<Answer>(directory: string, question: JobOrder): Promise<Answer> {
  const socketPath = controlSocket(directory);
  const absent = new FarmError('serve.absent', 'farm serve is not running, and nodes are asked by it', 'start it: farm serve');
  if (!existsSync(socketPath)) throw absent;
  const text = await new Promise<string>((resolve, reject) => {
    const asked = request({ socketPath, path: jobsPath, method: 'POST', timeout: 2 * actPatience }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const all = Buffer.concat(chunks).toString();
        if (response.statusCode === 200) resolve(all);
        else reject(new FarmError('job.refused', `the running server did not take it: ${all.trim()}`, 'is it of this version? restart farm serve'));
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`the server at ${socketPath} does not answer`)));
    asked.on('error', (error) => reject(systemCode(error) === 'ECONNREFUSED' ? absent : error));
    asked.end(JSON.stringify(question));
  });
  const told = JSON.parse(text) as { readonly ok: Answer } | { readonly error: { readonly code: string; readonly message: string; readonly hint?: string } };
  if ('ok' in told) return told.ok;
  const { error: reply } = told;
  throw new FarmError(reply.code, reply.message, reply.hint);
}
