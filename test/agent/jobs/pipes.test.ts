// Pipes that criu can move, and the scripts around a job, run by a real sh.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { holderScript, leadingWords, quoted, scriptEnvironment, startScript } from '../../../src/agent/jobs/init.ts';
import { InputPipe, makePipes, OutputPipe, type Pipe, reopen } from '../../../src/agent/jobs/pipes.ts';
import type { JobSpec } from '../../../src/agent/jobs/types.ts';

async function onePipe(): Promise<Pipe> {
  const [pipe] = await makePipes(1);
  if (pipe === undefined) throw new Error('there is no pipe');
  return pipe;
}

describe('pipes', () => {
  it('are anonymous, and as many as asked for', async () => {
    const pipes = await makePipes(3);
    expect(new Set(pipes.map(({ name }) => name)).size).toBe(3);
    for (const { name, reader, writer } of pipes) {
      expect(name).toMatch(/^pipe:\[\d+\]$/);
      expect(readlinkSync(`/proc/self/fd/${reader}`)).toBe(name);
      writeSync(writer, 'x');
      expect(readSync(reader, Buffer.alloc(8))).toBe(1);
      closeSync(reader);
      closeSync(writer);
    }
  });

  it('give back what was not read, more than they hold, and take it again', async () => {
    const { reader, writer } = await onePipe();
    const input = new InputPipe(reopen('self', writer, 'write'), () => {});
    closeSync(writer);
    const sent = Buffer.alloc(300_000, 'abcdefg');
    for (let at = 0; at < sent.length; at += 50_000) input.write(sent.subarray(at, at + 50_000));
    const unread = await input.take();
    expect(unread.equals(sent)).toBe(true);
    input.write('later');
    const output = new OutputPipe(reopen('self', reader, 'read'), () => {});
    closeSync(reader);
    input.release(unread);
    input.end('last');
    const parts: Buffer[] = [];
    for await (const part of output) parts.push(part as Buffer);
    expect(Buffer.concat(parts).equals(Buffer.concat([sent, Buffer.from('laterlast')]))).toBe(true);
  });

  it('have not delivered what comes after that before they take it again', async () => {
    const { reader, writer } = await onePipe();
    const input = new InputPipe(reopen('self', writer, 'write'), () => {});
    closeSync(writer);
    const delivered: string[] = [];
    const write = (text: string) => new Promise<void>((resolve) => input.write(text, () => resolve(void delivered.push(text))));
    const before = write('before');
    const unread = await input.take();
    await before;
    expect(unread.toString()).toBe('before');
    const after = [write('after'), write('last')];
    await new Promise((resolve) => setImmediate(resolve));
    expect(delivered).toEqual(['before']); // else a move would count them as read, and they are in nobody's hands
    input.release(unread);
    await Promise.all(after);
    expect(delivered).toEqual(['before', 'after', 'last']);
    const buffer = Buffer.alloc(64);
    expect(buffer.toString('latin1', 0, readSync(reader, buffer))).toBe('beforeafterlast');
    input.destroy();
    closeSync(reader);
  });

  it('are read to the end of what was written, though nobody takes it', async () => {
    const { reader, writer } = await onePipe();
    const output = new OutputPipe(reopen('self', reader, 'read'), () => {});
    closeSync(reader);
    const sent = Buffer.alloc(60_000, 'x');
    writeSync(writer, sent);
    output.drain();
    writeSync(writer, sent);
    output.drain();
    expect(output.readableLength).toBe(120_000);
    closeSync(writer);
    let length = 0;
    for await (const part of output) length += (part as Buffer).length;
    expect(length).toBe(120_000);
  });

  it('are closed for the writer when nobody reads any more, by the shell that holds them too', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'farm-pipes-'));
    const pipes = await makePipes(4);
    const [input, output, errors, status] = pipes;
    if (input === undefined || output === undefined || errors === undefined || status === undefined) throw new Error('there are no pipes');
    const holder = spawn('/bin/sh', ['-c', holderScript, 'sh', directory, directory], {
      stdio: ['ignore', 'ignore', 'inherit', input.writer, output.reader, errors.reader, status.reader],
    });
    const job = spawn('yes', { stdio: ['ignore', output.writer, errors.writer] });
    const ended = once(job, 'exit');
    const [out, err] = [output, errors].map(({ reader }, index) => {
      return new OutputPipe(reopen('self', reader, 'read'), () => holder.kill(index === 0 ? 'SIGUSR2' : 'SIGHUP'));
    });
    for (const { reader, writer } of pipes.slice(0, 3)) for (const fd of [reader, writer]) closeSync(fd);
    closeSync(status.reader);
    await once(out as OutputPipe, 'readable');
    out?.destroy();
    expect(await ended).toEqual([null, 'SIGPIPE']);
    err?.destroy();
    const held = () => readdirSync(`/proc/${holder.pid}/fd`).filter((fd) => ['4', '5'].includes(fd));
    await vi.waitUntil(() => held().length === 0);
    writeSync(status.writer, '141\n');
    closeSync(status.writer);
    await vi.waitUntil(() => existsSync(join(directory, 'status')) && readFileSync(join(directory, 'status'), 'utf8') === '141\n');
    holder.kill('SIGKILL');
    rmSync(directory, { recursive: true });
  });

  it('end though nobody listens, if there is nothing to hear', async () => {
    const { reader, writer } = await onePipe();
    const output = new OutputPipe(reopen('self', reader, 'read'), () => {});
    for (const fd of [reader, writer]) closeSync(fd);
    await finished(output);
  });

  it('drop what nobody reads any more', async () => {
    const { reader, writer } = await onePipe();
    let ended = false;
    const input = new InputPipe(reopen('self', writer, 'write'), () => {
      ended = true;
    });
    for (const fd of [reader, writer]) closeSync(fd);
    input.write('one');
    input.end('two');
    await finished(input);
    expect(ended).toBe(true);
  });
});

const spec: JobSpec = {
  id: '1-2-3',
  home: 1,
  hostname: 'n1',
  deputy: 2,
  args: ['printf', '%s|'],
  name: undefined,
  environment: ['PATH=/usr/bin:/bin'],
  directory: '/',
  umask: 0o027,
  uid: 1000,
  gid: 100,
  groups: [100, 5],
  niceness: 0,
  limits: [],
  streams: 'separate',
  window: undefined,
  mounts: [],
  image: '',
};

const started = (change: Partial<JobSpec>): string => {
  const { environment, shell } = scriptEnvironment(startScript({ ...spec, ...change }));
  const [command = '', ...args] = shell;
  return execFileSync(command, args, { env: { PATH: '/usr/bin:/bin', ...environment }, encoding: 'utf8' });
};

describe('the words of a program', () => {
  it('reach it whatever is in them', () => {
    const words = ["it's", '$HOME `id`', 'a\nb', '', '-n', '\\', '"', 'ü'];
    expect(started({ args: ['printf', '%s|', ...words] })).toBe(words.map((word) => `${word}|`).join(''));
    fc.assert(
      fc.property(
        fc.string({ maxLength: 20 }).filter((word) => !word.includes('\0')),
        (word) => {
          expect(quoted(word)).toBe(`'${word.split("'").join("'\\''")}'`);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('and its environment, with names that no shell knows, and nothing else', () => {
    const environment = ['PATH=/usr/bin:/bin', "A=it's\nso", 'BASH_FUNC_f%%=() { :; }', 'IFS=x', 'OPTIND=abc', `LONG=${'y'.repeat(100_000)}`];
    const seen = started({ args: ['env', '-0'], environment })
      .split('\0')
      .filter((line) => line !== '' && !line.startsWith('PWD='));
    expect(seen.sort()).toEqual([...environment].sort());
  });

  it('begin in its directory with its umask', () => {
    expect(started({ args: ['sh', '-c', 'pwd; umask'], directory: '/usr' })).toBe('/usr\n0027\n');
  });

  it('follow limits, niceness, identity and terminal', () => {
    expect(leadingWords({ ...spec, niceness: 5, limits: [{ resource: 'nofile', soft: 10, hard: undefined }] }, 2)).toEqual([
      ...['nice', '-n', '3', 'prlimit', '--nofile=10:unlimited'],
      ...['setpriv', '--reuid=1000', '--regid=100', '--groups=100,5'],
    ]);
    expect(leadingWords({ ...spec, groups: [] }, 0)).toContain('--clear-groups');
    expect(leadingWords({ ...spec, streams: 'terminal', window: { columns: 80, rows: 24 } }, 0).slice(-2)).toEqual(['24', '80']);
    expect(() => leadingWords({ ...spec, limits: [{ resource: 'nofile=1 --as', soft: 1, hard: 1 }] }, 0)).toThrow(/no limit/);
  });
});
