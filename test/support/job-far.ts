// A receiving engine on another machine of a boot test, over plain TCP: lines of JSON for the calls, connections of their own for pages. The product has its link.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import type { JobEngine, JobSpec, RunningJob } from '../../src/agent/jobs/types.ts';

/** What a test needs of a job that has arrived somewhere. */
export interface Arrived {
  readonly output: NodeJS.ReadableStream;
  readonly errors: NodeJS.ReadableStream;
  write(text: string): void;
  end(): void;
  /** Settles with its status. */
  readonly ended: Promise<number>;
  signal(name: NodeJS.Signals): Promise<void>;
}

export interface Place {
  receive(spec: JobSpec): Promise<Receiving>;
}

export interface Receiving {
  listen(): Promise<number>;
  restore(images: Buffer, unread: Buffer): Promise<void>;
  run(): Promise<Arrived>;
  drop(): Promise<void>;
}

function arrived(job: RunningJob): Arrived {
  return {
    output: job.output,
    errors: job.errors ?? new PassThrough().end(),
    write: (text) => job.input.write(text),
    end: () => job.input.end(),
    ended: job.ended.then(({ status }) => status),
    signal: (name) => job.signal(name),
  };
}

export function near(engine: JobEngine): Place {
  return {
    async receive(spec) {
      const job = await engine.receive(spec);
      return {
        listen: () => job.listen(),
        restore: (images, unread) => job.restore(images, unread),
        run: async () => arrived(await job.run()),
        drop: () => job.drop(),
      };
    },
  };
}

type Told = { readonly answer?: unknown; readonly error?: string; readonly output?: string; readonly errors?: string; readonly ended?: number };

export function far(address: string, port: number): Place {
  return {
    async receive(spec) {
      const socket = connect(port, address);
      await once(socket, 'connect');
      const output = new PassThrough();
      const errors = new PassThrough();
      let end = (_status: number): void => {};
      const ended = new Promise<number>((resolve) => {
        end = resolve;
      });
      const waiting: ((told: Told) => void)[] = [];
      createInterface({ input: socket }).on('line', (line) => {
        const told: Told = JSON.parse(line);
        if (told.output !== undefined) output.write(Buffer.from(told.output, 'base64'));
        else if (told.errors !== undefined) errors.write(Buffer.from(told.errors, 'base64'));
        else if (told.ended !== undefined) {
          output.end();
          errors.end();
          end(told.ended);
          socket.end();
        } else waiting.shift()?.(told);
      });
      const call = async (name: string, body?: unknown): Promise<unknown> => {
        socket.write(`${JSON.stringify({ name, body })}\n`);
        const told = await new Promise<Told>((resolve) => waiting.push(resolve));
        if (told.error !== undefined) throw new Error(told.error);
        return told.answer;
      };
      await call('receive', spec);
      return {
        listen: async () => tunnel(address, port, Number(await call('listen'))),
        restore: async (images, unread) => void (await call('restore', { images: images.toString('base64'), unread: unread.toString('base64') })),
        async run() {
          await call('run');
          return {
            output,
            errors,
            ended,
            write: (text) => void call('write', text),
            end: () => void call('end'),
            signal: async (name) => void (await call('signal', name)),
          };
        },
        drop: async () => void (await call('drop')),
      };
    },
  };
}

/** A port here for the page server there. */
async function tunnel(address: string, port: number, pages: number): Promise<number> {
  const server = createServer((near) => {
    server.close();
    const there = connect(port, address, () => {
      there.write(`${JSON.stringify({ name: 'pages', body: pages })}\n`);
      join(near, there);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const at = server.address();
  return at === null || typeof at === 'string' ? 0 : at.port;
}

function join(a: Socket, b: Socket): void {
  for (const socket of [a, b]) socket.on('error', () => {});
  a.pipe(b);
  b.pipe(a);
}

/** The other end of `far`. */
export async function serveEngine(engine: JobEngine, port: number): Promise<void> {
  const server = createServer((socket) => {
    socket.once('data', (first: Buffer) => {
      socket.pause(); // what follows is for whoever takes the connection on
      const end = first.indexOf(10);
      const { name, body } = JSON.parse(first.subarray(0, end).toString());
      if (name === 'pages') {
        const there = connect(body, '127.0.0.1', () => {
          there.write(first.subarray(end + 1));
          join(socket, there);
        });
        return;
      }
      void serveJob(engine, socket, first.toString());
    });
  });
  server.listen(port);
  await once(server, 'listening');
}

async function serveJob(engine: JobEngine, socket: Socket, first: string): Promise<void> {
  const tell = (told: Told): void => void socket.write(`${JSON.stringify(told)}\n`);
  socket.on('error', () => {});
  const arriving = await engine.receive(JSON.parse(first).body);
  tell({});
  let job: RunningJob | undefined;
  const calls: Readonly<Record<string, (body: never) => Promise<unknown> | unknown>> = {
    listen: () => arriving.listen(),
    restore: ({ images, unread }: { images: string; unread: string }) => arriving.restore(Buffer.from(images, 'base64'), Buffer.from(unread, 'base64')),
    async run() {
      job = await arriving.run();
      job.output.on('data', (data: Buffer) => tell({ output: data.toString('base64') }));
      job.errors?.on('data', (data: Buffer) => tell({ errors: data.toString('base64') }));
      void job.ended.then(({ status }) => tell({ ended: status }));
    },
    drop: () => arriving.drop(),
    write: (text: string) => void job?.input.write(text),
    end: () => void job?.input.end(),
    signal: (name: NodeJS.Signals) => job?.signal(name),
  };
  for await (const line of createInterface({ input: socket })) {
    const { name, body } = JSON.parse(line) as { name: string; body: never };
    try {
      tell({ answer: await calls[name]?.(body) });
    } catch (error) {
      tell({ error: error instanceof Error ? error.message : String(error) });
    }
  }
}
