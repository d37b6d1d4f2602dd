// What is promised to be on disk is: the system calls between a request and its answer, as strace sees them, and what becomes of fsyncs that strace makes fail.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { statusNumbers as nfs } from '../../src/nfs/status.ts';
import { bundle } from './namespaces.ts';

const lacking = spawnSync('sh', ['-c', 'command -v strace']).status !== 0 ? 'strace is needed' : undefined;
if (lacking !== undefined && process.env['CI'] !== undefined) throw new Error(`the sync tests cannot run: ${lacking}`);

interface Answer {
  readonly step: string;
  readonly status: number;
  readonly verifier?: string;
}

describe.skipIf(lacking !== undefined)('a private tree', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'farm-sync-'));
  const program = join(scratch, 'node.mjs');

  beforeAll(() => bundle(new URL('../support/private-node.ts', import.meta.url), program));
  afterAll(() => rmSync(scratch, { recursive: true }));

  let runs = 0;
  function traced(steps: readonly string[], inject: readonly string[] = []): { readonly answers: readonly Answer[]; readonly calls: readonly string[] } {
    const trace = join(scratch, `trace${++runs}`);
    const args = ['-f', '-y', '-o', trace, '-e', 'trace=fsync,fdatasync,chdir', ...inject.flatMap((what) => ['-e', `inject=${what}`])];
    const out = execFileSync('strace', [...args, process.execPath, program, join(scratch, `state${runs}`), ...steps], {
      encoding: 'utf8',
      timeout: 50_000,
      env: { ...process.env, UV_THREADPOOL_SIZE: '1' }, // strace counts calls thread by thread
    });
    const answers = out
      .trim()
      .split('\n')
      .map((line): Answer => JSON.parse(line));
    return { answers, calls: readFileSync(trace, 'utf8').split('\n') };
  }

  /** What was synced, successfully or not, between a step's request and its answer: of contents, of the journal. */
  function synced(calls: readonly string[], step: string): readonly string[] {
    const from = calls.findIndex((call) => call.includes(`/mark/${step}-begins`));
    const to = calls.findIndex((call) => call.includes(`/mark/${step}-answered`));
    expect([from, to]).not.toContain(-1);
    const began = calls.slice(from, to).filter((call) => /f(?:data)?sync\(/.test(call));
    return [...new Set(began.map((call) => (/\/content\/[0-9a-f]+>/.test(call) ? 'content' : /\/content>/.test(call) ? 'names' : 'journal')))].sort();
  }

  it.each(['data', 'file'])('answers WRITE with stable_how %s when bytes and name are on disk, after CREATE had the journal there', (step) => {
    const { answers, calls } = traced(['create', step]);
    expect(answers.map(({ status }) => status)).toEqual([nfs.OK, nfs.OK]);
    expect(synced(calls, 'create')).toEqual(['journal']);
    expect(synced(calls, step)).toEqual(['content', 'names']);
  });

  it('waits for nothing with UNSTABLE, and for all of it with COMMIT', () => {
    const { calls } = traced(['create', 'unstable', 'commit']);
    expect(synced(calls, 'unstable')).toEqual([]);
    expect(synced(calls, 'commit')).toEqual(['content', 'names']);
  });

  it('tells every COMMIT that waited for a failed fsync, and has clients send again what they still have', () => {
    const { answers } = traced(['create', 'unstable', 'commit+commit', 'unstable', 'commit'], ['fsync:error=EIO:when=1']);
    const [, before, failed, again, after] = answers;
    expect(failed?.status).toBe(nfs.IO);
    expect(again?.verifier).not.toBe(before?.verifier);
    expect(after).toMatchObject({ status: nfs.OK, verifier: again?.verifier });
  });

  it('writes its journal anew when fdatasync failed, before it answers', () => {
    const { answers, calls } = traced(['create', 'create'], ['fdatasync:error=EIO:when=1']);
    expect(answers.map(({ status }) => status)).toEqual([nfs.OK, nfs.OK]);
    expect(calls.some((call) => /fsync\(\d+<[^>]*journal\.new>/.test(call))).toBe(true);
  });

  it('answers IO when that fails too, for as long as it does', () => {
    const { answers } = traced(['create', 'create'], ['fdatasync,fsync:error=EIO']);
    expect(answers.map(({ status }) => status)).toEqual([nfs.IO, nfs.IO]);
  });
});
