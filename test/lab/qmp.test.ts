// The QMP client against a peer that answers, refuses, babbles and hangs up.
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lineSplitter } from '../../src/lab/lines.ts';
import { openQmp } from '../../src/lab/qmp.ts';

/** A QEMU that answers each command with what `answer` says, and is silent where that is undefined. */
function peer(answer: (command: string) => object | undefined) {
  const [input, output] = [new PassThrough(), new PassThrough()];
  output.on(
    'data',
    lineSplitter((line) => {
      const { execute, id }: { execute: string; id: number } = JSON.parse(line);
      const reply = execute === 'qmp_capabilities' ? { return: {} } : answer(execute);
      if (reply !== undefined) input.write(`${JSON.stringify({ ...reply, id })}\r\n`);
    }),
  );
  input.write('{"QMP": {"version": {}, "capabilities": []}}\r\n');
  return { input, output };
}

describe('the QMP client', () => {
  test('gives what a command returns, and tells of events between', async () => {
    const { input, output } = peer((command) => ({ return: { status: command } }));
    const events: string[] = [];
    const qmp = await openQmp(input, output, (name) => events.push(name));
    input.write('{"timestamp": {}, "event": "RESET", "data": {"guest": true}}\r\n');
    expect(await qmp.execute('query-status')).toEqual({ status: 'query-status' });
    expect(events).toEqual(['RESET']);
  });

  test('tells replies apart by their id, in whatever order they come', async () => {
    const { input, output } = peer(() => undefined);
    const qmp = await openQmp(input, output, () => {});
    const [first, second] = [qmp.execute('query-status'), qmp.execute('system_reset')];
    input.write('{"return": "second", "id": 3}\r\n{"return": "first", "id": 2}\r\n');
    expect(await Promise.all([first, second])).toEqual(['first', 'second']);
  });

  test('reports a refusal with QEMU’s words', async () => {
    const { input, output } = peer(() => ({ error: { class: 'GenericError', desc: 'not now' } }));
    const qmp = await openQmp(input, output, () => {});
    await expect(qmp.execute('system_powerdown')).rejects.toMatchObject({ code: 'qmp.refused', message: expect.stringContaining('not now') });
  });

  test('ends every wait when the machine ends, and refuses what comes after', async () => {
    const { input, output } = peer(() => undefined);
    const qmp = await openQmp(input, output, () => {});
    const waiting = qmp.execute('quit');
    input.destroy();
    await expect(waiting).rejects.toMatchObject({ code: 'qmp.closed' });
    await expect(qmp.execute('quit')).rejects.toMatchObject({ code: 'qmp.closed' });
  });

  test('does not wait for a greeting that cannot come', async () => {
    const [input, output] = [new PassThrough(), new PassThrough()];
    const opening = openQmp(input, output, () => {});
    input.destroy();
    await expect(opening).rejects.toMatchObject({ code: 'qmp.closed' });
  });

  test('passes over lines that are no message', async () => {
    const noise = fc.oneof(
      fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\n', '')),
      fc.json(),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(noise), async (lines) => {
        const { input, output } = peer((command) => ({ return: command }));
        const qmp = await openQmp(input, output, () => {});
        for (const line of lines) input.write(`${line}\n`);
        expect(await qmp.execute('query-status')).toBe('query-status');
      }),
      { interruptAfterTimeLimit: Number(process.env['FUZZ_SECONDS'] ?? 1) * 1000, markInterruptAsFailure: false, numRuns: 10_000 },
    );
  });
});

test('lines come out the same however the bytes were cut', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\r\n]/g, ''))), fc.integer({ min: 1, max: 7 }), (lines, size) => {
      const got: string[] = [];
      const feed = lineSplitter((line) => got.push(line));
      const bytes = Buffer.from(lines.map((line) => `${line}\r\n`).join(''));
      for (let at = 0; at < bytes.length; at += size) feed(bytes.subarray(at, at + size));
      expect(got).toEqual(lines);
    }),
  );
});
