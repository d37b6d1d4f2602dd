// An engine whose jobs are numbers that count: what runs where is written down, so that a test sees a job that runs twice, nowhere, or goes back in time.
// Pages go over real sockets on 127.0.0.1, as criu's do.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { PassThrough } from 'node:stream';
import type { ArrivingJob, Attach, Attached, Ended, FrozenJob, JobEngine, JobSpec, Obstacle, RunningJob, StreamPositions } from '../../src/agent/jobs/types.ts';
import { FarmError } from '../../src/base/errors.ts';

export function jobSpec(home: number, deputy: number, more: Partial<JobSpec> = {}): JobSpec {
  return {
    ...{ id: `${home}-${deputy}-77`, home, hostname: `n${home}`, deputy, args: ['awk', 'BEGIN{for(;;);}'], name: undefined, environment: ['HOME=/root'] },
    ...{
      directory: '/root',
      umask: 0o22,
      uid: 1000,
      gid: 1000,
      groups: [1000],
      niceness: 0,
      limits: [],
      streams: 'merged',
      window: undefined,
      mounts: [],
      image: '',
    },
    ...more,
  };
}

/** All nodes of a test: which copy of each job runs. */
export class FakeWorld {
  /** Job -> node, of the copies that run. */
  readonly running = new Map<string, number>();
  /** What each job has counted to, wherever it ran. */
  readonly counts = new Map<string, number>();
  readonly faults: string[] = [];
  /** Conversations with page servers that are not over. */
  talking = 0;
  /** Bytes of each job. */
  memory = 1000;
  obstacles: readonly Obstacle[] = [];

  begin(id: string, node: number, count: number): void {
    const other = this.running.get(id);
    if (other !== undefined) this.faults.push(`${id} runs on ${other} and on ${node}`);
    const before = this.counts.get(id) ?? 0;
    if (count !== before) this.faults.push(`${id} goes on at ${count}, it was at ${before}`);
    this.running.set(id, node);
  }

  halt(id: string, node: number): number {
    if (this.running.get(id) !== node) this.faults.push(`${id} is stopped on ${node}, where it does not run`);
    this.running.delete(id);
    return this.counts.get(id) ?? 0;
  }

  /** Every job that runs does a piece of work. */
  work(): void {
    for (const id of this.running.keys()) this.counts.set(id, (this.counts.get(id) ?? 0) + 1);
  }
}

export class FakeEngine implements JobEngine {
  /** By id; and copies that stand, on their way out or in. */
  readonly ends = new Map<string, (ended: Ended) => void>();
  standing = 0;
  private readonly world: FakeWorld;
  private readonly node: number;

  constructor(world: FakeWorld, node: number) {
    this.world = world;
    this.node = node;
  }

  start(spec: JobSpec): Promise<RunningJob> {
    return Promise.resolve(this.run(spec, 0));
  }

  restart(spec: JobSpec): Promise<RunningJob> {
    return Promise.resolve(this.run(spec, this.world.counts.get(spec.id) ?? 0));
  }

  receive(spec: JobSpec): Promise<ArrivingJob> {
    let count: number | undefined;
    let over = false;
    const end = (how: string): void => {
      if (over) this.world.faults.push(`${spec.id} is ${how} on ${this.node} after it was ended`);
      over = true;
    };
    return Promise.resolve({
      listen: () => pageServer(),
      restore: (images: Buffer) => {
        count = Number(images.toString());
        this.standing += 1;
        return Promise.resolve();
      },
      run: () => {
        if (count === undefined) throw new FarmError('job.unrestorable', 'nothing was restored');
        const job = this.run(spec, count);
        this.standing -= 1;
        end('run');
        return Promise.resolve(job);
      },
      drop: () => {
        end('dropped');
        if (count !== undefined) this.standing -= 1;
        return Promise.resolve();
      },
    });
  }

  private run(spec: JobSpec, from: number): RunningJob {
    const { world, node } = this;
    world.begin(spec.id, node, from);
    const ended = new Promise<Ended>((resolve) => {
      this.ends.set(spec.id, resolve);
    });
    const beganAt = world.counts.get(spec.id) ?? 0;
    return {
      ...{ spec, pid: 4242, input: new PassThrough(), output: new PassThrough(), errors: undefined, ended },
      signal: (name) => {
        if (name === 'SIGKILL' && world.running.get(spec.id) === node) {
          world.halt(spec.id, node);
          this.ends.get(spec.id)?.({ status: 137, cpuTime: 0 });
        }
        return Promise.resolve();
      },
      resize: () => Promise.resolve(),
      usage: () => Promise.resolve({ cpuTime: ((world.counts.get(spec.id) ?? 0) - beganAt) * 1000, memory: world.memory, processes: 1 }),
      obstacles: () => Promise.resolve(world.obstacles),
      copy: (port) => this.say(port, world.memory),
      freeze: async (port) => {
        const count = world.halt(spec.id, node);
        this.standing += 1;
        const thaw = (): void => {
          this.standing -= 1;
          world.begin(spec.id, node, count);
        };
        try {
          await this.say(port, 100);
        } catch (error) {
          thaw();
          throw error;
        }
        return this.frozen(spec, count, thaw);
      },
      checkpoint: () => Promise.resolve(),
    };
  }

  private async say(port: number, bytes: number): Promise<number> {
    this.world.talking += 1;
    try {
      return await say(port, bytes);
    } finally {
      this.world.talking -= 1;
    }
  }

  private frozen(spec: JobSpec, count: number, thaw: () => void): FrozenJob {
    let over = false;
    const end = (how: string): void => {
      if (over) this.world.faults.push(`${spec.id} is ${how} on ${this.node} after it was ended`);
      over = true;
    };
    return {
      images: Buffer.from(String(count)),
      unread: Buffer.alloc(0),
      give: () => Promise.resolve(),
      thaw: () => {
        end('thawed');
        thaw();
        return Promise.resolve();
      },
      discard: () => {
        end('discarded');
        this.standing -= 1;
        return Promise.resolve();
      },
    };
  }
}

/** Takes one connection, answers `k` when all is said. */
async function pageServer(): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    server.close();
    let got = 0;
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes: Buffer) => {
      got += bytes.length;
      if (bytes.at(-1) === 0x0a) socket.end(`${got}\n`);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** As criu: says `bytes`, waits for the answer. */
async function say(port: number, bytes: number): Promise<number> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  socket.write(Buffer.concat([Buffer.alloc(bytes - 1, 'p'), Buffer.from('\n')]));
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  socket.destroy();
  if (answer !== `${bytes}\n`) throw new FarmError('job.immovable', `the page server answered "${answer.trim()}" to ${bytes} bytes`);
  return bytes;
}

/** Streams that only have positions. */
export const fakeAttach: Attach = (_job, from): Attached => ({
  pause() {},
  standing: () => from ?? { input: 0, inputEnded: false, output: 0, errors: 0 },
  unpause() {},
  delivered: () => Promise.resolve(),
  detach: (): Promise<StreamPositions> => Promise.resolve(from ?? { input: 0, inputEnded: false, output: 0, errors: 0 }),
  resume() {},
  release() {},
});
