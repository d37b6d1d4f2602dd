// The texts and bytes around criu: its log, its statistics, images in one buffer, cgroup files, /proc/PID/stat.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCgroupEvents, parseCpuTime } from '../../../src/agent/jobs/cgroup.ts';
import { criuError, parseDumpStatistics, tellingLine } from '../../../src/agent/jobs/criu-words.ts';
import { packImages, unpackImages } from '../../../src/agent/jobs/images.ts';
import { parseMemory, parseProcessStat, recipients } from '../../../src/agent/jobs/processes.ts';
import { WireError } from '../../../src/base/errors.ts';

/** criu 4.1.1, as it was. */
const logOfSocket = `(00.046966) Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted
(00.070208) Error (criu/sk-inet.c:191): inet: Connected TCP socket, consider using --tcp-established option.
(00.070298) Error (criu/cr-dump.c:1570): Dump files (pid: 33) failed with -1
(00.070296) Error (criu/cr-dump.c:2111): Dumping FAILED.
`;

describe("criu's log", () => {
  it('gives the line that tells why', () => {
    expect(tellingLine(logOfSocket)).toBe('inet: Connected TCP socket, consider using --tcp-established option.');
    expect(tellingLine('(00.016616) Error (criu/protobuf.c:72): Unexpected EOF on (empty-image)\n')).toBe('Unexpected EOF on (empty-image)');
    expect(tellingLine('(00.1)      7: Error (criu/files-reg.c:2230): File root/x has bad size 3 (expect 5)\n')).toBe('File root/x has bad size 3 (expect 5)');
    expect(tellingLine('Warn  (criu/kerndat.c:1): nothing\n')).toBeUndefined();
  });

  it('becomes a sentence with a remedy', () => {
    const error = criuError('job.immovable', 'moved', logOfSocket);
    expect(error).toMatchObject({ code: 'job.immovable', hint: 'close the connection, or start it with mosrun -h' });
    expect(error.message).toMatch(/^the job cannot be moved: it has a TCP connection \(inet: Connected/);
    expect(criuError('job.unrestorable', 'restored', '').message).toBe('the job cannot be restored: criu refuses (criu ended without a word)');
  });

  it('gives the number of pages from its statistics', () => {
    // Of a pre-dump of 75 pages: magics, length, StatsEntry { dump { 1: 1200, 2: 5400, 7: 75 } }.
    const image = Buffer.from('4059105506330957' + '0a000000' + '0a0808b00910982a384b', 'hex');
    expect(parseDumpStatistics(image)).toEqual({ frozenTime: 5400, pagesWritten: 75 });
    expect(parseDumpStatistics(Buffer.alloc(0))).toEqual({ frozenTime: 0, pagesWritten: 0 });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => parseDumpStatistics(Buffer.from(bytes)).pagesWritten >= 0),
      { numRuns: 300 },
    );
  });
});

describe('images in one buffer', () => {
  const names = fc.stringMatching(/^[a-z0-9_][a-z0-9._-]{0,20}$/);

  it('come out as they went in', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ name: names, content: fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)) }), { maxLength: 8 }),
        (files) => {
          expect(unpackImages(packImages(files))).toEqual(files);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('are refused when they are short, long or named to lie elsewhere', () => {
    const packed = packImages([{ name: 'core-1.img', content: Buffer.from('abc') }]);
    expect(() => unpackImages(packed.subarray(0, -1))).toThrow(WireError);
    expect(() => unpackImages(Buffer.concat([packed, Buffer.from([0])]))).toThrow(/follow the last file/);
    for (const name of ['../core-1.img', 'a/b', '', '.hidden'])
      expect(() => unpackImages(packImages([{ name, content: Buffer.alloc(0) }])), name).toThrow(/no name/);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          unpackImages(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('a cgroup', () => {
  it('tells whether it has processes and whether they stand', () => {
    expect(parseCgroupEvents('populated 1\nfrozen 0\n')).toEqual({ populated: true, frozen: false });
    expect(parseCgroupEvents('populated 0\nfrozen 1\n')).toEqual({ populated: false, frozen: true });
    expect(parseCgroupEvents('')).toEqual({ populated: false, frozen: false });
    expect(parseCpuTime('usage_usec 26201\nuser_usec 9000\n')).toBe(26.201);
  });
});

describe('the processes of a job', () => {
  const stat = (pid: number, parent: number, group: number, session: number, foreground = -1, start = pid) =>
    parseProcessStat(`${pid} (a b) c) S ${parent} ${group} ${session} 0 ${foreground} 4194304 ${Array(12).fill(0).join(' ')} ${start} 0`);

  it('are read whatever their name is', () => {
    expect(stat(120, 110, 120, 110)).toMatchObject({ pid: 120, state: 'S', parent: 110, group: 120, session: 110, foreground: -1, start: 120 });
  });

  it('weigh what no file has', () => {
    expect(parseMemory('VmRSS:\t 9000 kB\nRssAnon:\t 100 kB\nRssFile:\t 8000 kB\nRssShmem:\t 20 kB\nVmSwap:\t 3 kB\n')).toBe(123 * 1024);
    expect(parseMemory('')).toBe(0); // a zombie has none
  });

  const plain = [stat(100, 1, 100, 100), stat(110, 100, 110, 100), stat(111, 110, 110, 100), stat(112, 100, 110, 100)];
  // Of a terminal: the copier, the leader of the session, a shell, and what it has in the foreground.
  const leader = [stat(100, 1, 100, 100), stat(110, 100, 110, 100), stat(115, 110, 115, 115, 130)];
  const inTerminal = [...leader, stat(120, 115, 120, 115, 130), stat(130, 120, 130, 115, 130)];
  it.each([
    ['SIGINT to the group of the program', 'SIGINT', plain, false, [-110]],
    ['SIGTERM too', 'SIGTERM', plain, false, [-110]],
    ['SIGUSR1, and what has a group of its own does not', 'SIGUSR1', [...plain, stat(113, 110, 113, 100)], false, [-110]],
    ['SIGHUP as well', 'SIGHUP', plain, false, [-110]],
    ['SIGHUP to all but the first, of a terminal that is gone', 'SIGHUP', inTerminal, true, [110, 115, 120, 130]],
    ['SIGCONT to the program in the terminal', 'SIGCONT', inTerminal, true, [-120]],
    ['anything to all that is left when the program has ended', 'SIGTERM', [stat(100, 1, 100, 100), stat(111, 100, 110, 100)], false, [111]],
    ['SIGINT to the foreground of the terminal', 'SIGINT', inTerminal, true, [-130]],
    ['SIGTERM to the program in the terminal', 'SIGTERM', inTerminal, true, [-120]],
    ['nothing to a job that has none', 'SIGTERM', [stat(100, 1, 100, 100)], false, []],
  ] as const)('get %s', (_words, signal, processes, terminal, expected) => {
    expect(recipients(signal, processes, 100, terminal)).toEqual(expected);
  });
});
