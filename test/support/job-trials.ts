// What a boot test does with jobs, on the node itself, where waiting for a line costs nothing. Each gives what it saw; the test judges.

import type { JobEngine, JobSpec } from '../../src/agent/jobs/types.ts';
import type { Arrived, Place } from './job-far.ts';
import { plainSpec } from './job-scenes.ts';

/** All that comes out of a job, on whatever node. */
class Heard {
  text = '';
  private wake = (): void => {};

  listen(stream: NodeJS.ReadableStream): void {
    stream.on('data', (data: Buffer) => {
      this.text += data;
      this.wake();
    });
  }

  async until(pattern: RegExp, from = 0): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.text.slice(from));
      if (match !== null) return match[0];
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  get lines(): number {
    return this.text.split('\n').length - 1;
  }

  async moreLines(count: number): Promise<void> {
    const end = this.lines + count;
    while (this.lines < end) await this.until(/\n/, this.text.length);
  }

  /** Whether the lines are 1, 2, 3 ...; the last may be cut. */
  get counts(): boolean {
    return this.text
      .split('\n')
      .slice(0, -1)
      .every((line, index) => line === String(index + 1));
  }
}

const now = (): number => Math.round(performance.now());

/** Moves a counting job after `rounds` of pre-copy. */
export async function move(source: JobEngine, place: Place, spec: JobSpec, rounds: number): Promise<object> {
  const t0 = now();
  const job = await source.start(spec);
  const [output, errors] = [new Heard(), new Heard()];
  output.listen(job.output);
  if (job.errors !== undefined) errors.listen(job.errors);
  const t1 = now();
  await output.moreLines(5);
  const usage = await job.usage();
  const obstacles = await job.obstacles();
  const t2 = now();
  const there = await place.receive(spec);
  const copied: number[] = [];
  for (let round = 0; round < rounds; round += 1) copied.push(await job.copy(await there.listen()));
  const port = await there.listen();
  const t3 = now();
  const frozen = await job.freeze(port);
  const t4 = now();
  await there.restore(frozen.images, frozen.unread);
  const t5 = now();
  const moved = await there.run();
  const t6 = now();
  await frozen.discard();
  output.listen(moved.output);
  errors.listen(moved.errors);
  await output.moreLines(10);
  await moved.signal('SIGTERM');
  const status = await moved.ended;
  return {
    counts: output.counts,
    status,
    errors: errors.text.trim(),
    usage,
    obstacles: obstacles.map(({ code }) => code),
    copied,
    images: frozen.images.length,
    ms: { start: t1 - t0, copy: t3 - t2, freeze: t4 - t3, restore: t5 - t4, run: t6 - t5, stood: t6 - t3 },
  };
}

export const trials: Readonly<Record<string, (source: JobEngine, place: Place) => Promise<object>>> = {
  /** Frozen for a place that does not take it. */
  async thaw(source, place) {
    const spec = {
      ...plainSpec(1, 'n1'),
      args: ['sh', '-c', 'trap "echo continued" CONT; trap "echo child" CHLD; while read -r x; do echo "$x"; done; echo over; exit 3'],
    };
    const job = await source.start(spec);
    const output = new Heard();
    output.listen(job.output);
    job.input.write('one\n');
    await output.moreLines(1);
    const there = await place.receive(spec);
    await job.copy(await there.listen());
    const frozen = await freezeWith(job.freeze(await there.listen()), () => job.input.write('two\n'));
    job.input.write('three\n');
    await frozen.thaw();
    await there.drop();
    job.input.end('four\n');
    const { status } = await job.ended;
    return { text: output.text, unread: frozen.unread.length, status };
  },

  /** Input that nobody reads, more than a pipe takes, goes with it. */
  async input(source, place) {
    const spec = { ...plainSpec(2, 'n1'), args: ['sh', '-c', 'read -r go; wc -c'] };
    const job = await source.start(spec);
    job.input.write('x'.repeat(200_000));
    const there = await place.receive(spec);
    const frozen = await job.freeze(await there.listen());
    await there.restore(frozen.images, frozen.unread);
    const moved = await there.run();
    await frozen.discard();
    const output = new Heard();
    output.listen(moved.output);
    moved.write(`\n${'y'.repeat(1000)}`);
    moved.end();
    return { unread: frozen.unread.length, status: await moved.ended, text: output.text.trim() };
  },

  /** The clock that programs measure time with goes on, whatever the other node's shows. */
  async clock(source, place) {
    const spec = { ...plainSpec(3, 'n1'), args: ['sh', '-c', 'while read -r x; do read -r up rest < /proc/uptime; echo $up; done'] };
    const job = await source.start(spec);
    const output = new Heard();
    output.listen(job.output);
    job.input.write('\n');
    await output.moreLines(1);
    const moved = await carried(job, place, spec);
    output.listen(moved.output);
    moved.write('\n');
    await output.moreLines(1);
    moved.end();
    const [before, after] = output.text.trim().split('\n').map(Number);
    return { status: await moved.ended, passed: (after ?? 0) - (before ?? 0) };
  },

  /** An interactive shell with a stopped job in it, moved under its user's hands. */
  async terminal(source, place) {
    const spec: JobSpec = { ...plainSpec(4, 'n1'), args: ['bash', '--norc', '--noediting', '-i'], streams: 'terminal', window: { columns: 77, rows: 22 } };
    const job = await source.start(spec);
    const screen = new Heard();
    screen.listen(job.output);
    job.input.write('PS1="<\\$?>"; x=5; stty size\n');
    await screen.until(/22 77\r\n<0>/);
    await job.resize({ columns: 99, rows: 33 });
    job.input.write('stty size; sh -c "echo begun; exec sleep 1000"\n');
    await screen.until(/33 99\r\nbegun\r\n/);
    job.input.write('\x1a');
    await screen.until(/Stopped[\s\S]*<148>/);
    job.input.write('cat\n');
    await screen.until(/cat\r\n/);
    const moved = await carried(job, place, spec);
    const from = screen.text.length;
    screen.listen(moved.output);
    moved.write('through\n');
    await screen.until(/through\r\nthrough\r\n/, from);
    moved.write('\x03');
    await screen.until(/\^C[\s\S]*<130>/, from);
    moved.write('jobs; echo x=$x; stty size\n');
    const after = await screen.until(/Stopped[^\r]*\r\nx=5\r\n33 99\r\n<0>/, from);
    moved.write('fg\n');
    // The shell says that it goes on before it has the terminal.
    const interrupt = setInterval(() => moved.write('\x03'), 300);
    await screen.until(/fg\r\n[\s\S]*\^C[\s\S]*<130>/, from);
    clearInterval(interrupt);
    moved.write('exit 9\n');
    return { status: await moved.ended, after };
  },

  /** Each of these has what cannot move; the job is asked, and runs on. */
  async obstacles(source) {
    const kinds: Readonly<Record<string, Partial<JobSpec> & { readonly needs: string }>> = {
      socket: {
        needs: 'perl',
        args: ['perl', '-e', '$| = 1; socket(S, 2, 1, 6); bind(S, pack("Sna4x8", 2, 4711, "\\x7f\\0\\0\\1")); listen(S, 1); print "ready\\n"; sleep 1000'],
      },
      realtime: { needs: 'chrt', args: ['chrt', '--fifo', '1', 'sh', '-c', 'echo ready; read -r x'] },
      traced: {
        needs: 'perl',
        args: ['perl', '-e', '$| = 1; if (!fork) { syscall(101, 0, 0, 0, 0); kill 19, $$ } waitpid(-1, 2); print "ready\\n"; sleep 1000'],
      },
      namespace: { needs: 'unshare', args: ['unshare', '--uts', 'sh', '-c', 'echo ready; read -r x'] },
      none: { needs: 'sh', args: ['sh', '-c', 'sleep 1000 | cat & echo ready; read -r x'] },
    };
    const seen: Record<string, readonly string[]> = {};
    for (const [index, [kind, { needs: _needs, ...more }]] of Object.entries(kinds).entries()) {
      const job = await source.start({ ...plainSpec(30 + index, 'n1'), ...more });
      const output = new Heard();
      output.listen(job.output);
      await output.until(/ready/);
      seen[kind] = (await job.obstacles()).map(({ code, message }) => `${code}: ${message.replaceAll(/\(\d+\)|process \d+/g, '#')}`);
      await job.signal('SIGKILL');
      await job.ended;
    }
    return { seen };
  },

  /** criu refuses; nothing is killed by the attempt. */
  async refused(source, place) {
    const program =
      '$| = 1; $a = pack("Sna4x8", 2, 4712, "\\x7f\\0\\0\\1"); socket(L, 2, 1, 6); bind(L, $a); listen(L, 1); socket(S, 2, 1, 6); connect(S, $a); accept(C, L); while (<STDIN>) { print $_ }';
    const spec = { ...plainSpec(40, 'n1'), args: ['perl', '-e', program] };
    const job = await source.start(spec);
    const output = new Heard();
    output.listen(job.output);
    job.input.write('one\n');
    await output.moreLines(1);
    const there = await place.receive({ ...spec, id: '1-40-1' });
    const codes = (await job.obstacles()).map(({ code }) => code);
    const port = await there.listen();
    const error = await job.freeze(port).then(
      (frozen) => frozen.thaw().then(() => 'it froze'),
      (reason: Error) => reason.message,
    );
    await there.drop();
    job.input.end('two\n');
    return { status: (await job.ended).status, text: output.text, codes, error };
  },

  /** From a copy on disk, twice. */
  async checkpoint(source) {
    const spec = { ...plainSpec(41, 'n1'), args: ['sh', '-c', 'while read -r x; do n=$((n+1)); echo "$n $x"; done'] };
    const directory = '/tmp/checkpoint-of-41';
    const job = await source.start(spec);
    const output = new Heard();
    output.listen(job.output);
    job.input.write('one\n');
    await output.moreLines(1);
    await job.checkpoint(directory);
    job.input.end('two\n');
    const statuses = [(await job.ended).status];
    for (const word of ['three\n', 'four\n']) {
      const again = await source.restart(spec, directory);
      output.listen(again.output);
      again.input.end(word);
      statuses.push((await again.ended).status);
    }
    return { statuses, text: output.text };
  },

  async ends(source) {
    const statuses: Record<string, readonly [number, string]> = {};
    const kinds: Readonly<Record<string, Partial<JobSpec>>> = {
      status: { args: ['sh', '-c', 'exit 7'] },
      missing: { args: ['nonesuch'] },
      locked: { args: ['/etc/passwd'] },
      nowhere: { args: ['true'], directory: '/none' },
      killed: { args: ['sh', '-c', 'kill -9 $$'] },
      named: { args: ['sh', '-c', 'cat /proc/$$/cmdline | tr "\\0" " " >&2'], name: 'another' },
    };
    for (const [index, [kind, more]] of Object.entries(kinds).entries()) {
      const job = await source.start({ ...plainSpec(10 + index, 'n1'), environment: ['PATH=/usr/bin:/bin'], ...more });
      const errors = new Heard();
      if (job.errors !== undefined) errors.listen(job.errors);
      job.output.resume();
      const { status } = await job.ended;
      statuses[kind] = [status, errors.text.trim()];
    }
    return { statuses };
  },
};

/** Does something in the midst of a freeze. */
async function freezeWith<T>(freezing: Promise<T>, act: () => void): Promise<T> {
  act();
  return freezing;
}

async function carried(job: Awaited<ReturnType<JobEngine['start']>>, place: Place, spec: JobSpec): Promise<Arrived> {
  const there = await place.receive(spec);
  const frozen = await job.freeze(await there.listen());
  await there.restore(frozen.images, frozen.unread);
  const moved = await there.run();
  await frozen.discard();
  return moved;
}
