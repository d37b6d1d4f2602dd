// Other people's TFTP clients against our server, on loopback: atftp (the one with RFC 7440), tftp-hpa, curl, busybox.
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { systemClock } from '../../src/base/clock.ts';
import type { Fields } from '../../src/base/log.ts';
import type { Service } from '../../src/base/service.ts';
import { tftpFileBelow } from '../../src/tftp/files.ts';
import { startTftpServer, type TftpServerOptions } from '../../src/tftp/server.ts';
import { lossyUdp } from '../support/lossy-udp.ts';
import { random } from '../tftp/network.ts';

const place = mkdtempSync(join(tmpdir(), 'farm-tftp-interop-'));
const root = join(place, 'root');
const area = join(place, 'uploads');
let service: Service;
let single: Service;
let port = 0;
let singlePort = 0;
let events: { readonly event: string; readonly fields: Fields }[] = [];
const waiting: (() => void)[] = [];

beforeAll(async () => {
  mkdirSync(root);
  const dice = random(5);
  const noise = (size: number) => Buffer.from(Array.from({ length: size }, () => dice() * 256));
  for (const size of [0, 1, 511, 512, 513, 1468, 2936, 30_001, 100_001, 300_001, 700_001]) writeFileSync(join(root, `${size}`), noise(size));
  writeFileSync(join(root, 'text'), 'one\ntwo\r\nthree\rfour');
  writeFileSync(join(place, 'secret'), 'secret');
  symlinkSync('../secret', join(root, 'outside'));
  const sparse = openSync(join(root, 'sparse'), 'w'); // 512-byte blocks: past 65535, with something to see there
  ftruncateSync(sparse, 65_535 * 512 + 1024);
  writeSync(sparse, noise(2048), 0, 2048, 65_533 * 512);
  closeSync(sparse);
  const options: TftpServerOptions = {
    address: ipv4('127.0.0.1'),
    port: 0,
    source: (path) => tftpFileBelow(root, path),
    upload: async (path) => ({ directory: area, name: path, limit: 1e9, replace: false }),
    largestBlock: 1468,
    clock: systemClock,
    log: (_, event, fields = {}) => {
      events.push({ event, fields });
      for (const wake of waiting.splice(0)) wake();
    },
  };
  service = await startTftpServer(options);
  single = await startTftpServer({ ...options, singlePort: true });
  port = Number(service.sockets[0]?.split(':')[1]);
  singlePort = Number(single.sockets[0]?.split(':')[1]);
});

afterAll(async () => {
  await service.close();
  await single.close();
  rmSync(place, { recursive: true });
});

interface TftpClient {
  readonly program: string;
  readonly args: (file: string, into: string, at: number) => readonly string[];
  readonly blksize: number;
  readonly window?: number;
}

const clients: readonly (readonly [string, TftpClient])[] = [
  ['atftp', { program: 'atftp', args: (file, into, at) => ['-g', '-r', file, '-l', into, '127.0.0.1', `${at}`], blksize: 512 }],
  [
    'atftp, blksize 1468, windowsize 16',
    {
      program: 'atftp',
      args: (file, into, at) => ['-g', '--option', 'blksize 1468', '--option', 'windowsize 16', '-r', file, '-l', into, '127.0.0.1', `${at}`],
      blksize: 1468,
      window: 16,
    },
  ],
  [
    'atftp, windowsize 3',
    { program: 'atftp', args: (file, into, at) => ['-g', '--option', 'windowsize 3', '-r', file, '-l', into, '127.0.0.1', `${at}`], blksize: 512, window: 3 },
  ],
  ['tftp-hpa', { program: 'tftp', args: (file, into, at) => ['-m', 'octet', '127.0.0.1', `${at}`, '-c', 'get', file, into], blksize: 512 }],
  ['curl', { program: 'curl', args: (file, into, at) => ['-sS', '-o', into, `tftp://127.0.0.1:${at}/${file}`], blksize: 512 }],
  [
    'curl, blksize 65464',
    { program: 'curl', args: (file, into, at) => ['-sS', '--tftp-blksize', '65464', '-o', into, `tftp://127.0.0.1:${at}/${file}`], blksize: 1468 },
  ],
  [
    'curl without options',
    { program: 'curl', args: (file, into, at) => ['-sS', '--tftp-no-options', '-o', into, `tftp://127.0.0.1:${at}/${file}`], blksize: 512 },
  ],
  ['busybox', { program: 'busybox', args: (file, into, at) => ['tftp', '-g', '-r', file, '-l', into, '127.0.0.1', `${at}`], blksize: 512 }],
  [
    'busybox, blksize 1428',
    { program: 'busybox', args: (file, into, at) => ['tftp', '-g', '-b', '1428', '-r', file, '-l', into, '127.0.0.1', `${at}`], blksize: 1428 },
  ],
];

/** Skips with a reason where a program is missing, and fails there if this is CI, where nothing may be missing. */
function tryWith(program: string, name: string, body: () => Promise<void>): void {
  const isMissing = spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0;
  if (isMissing && process.env['CI'] !== undefined) throw new Error(`${name}: needs ${program}`);
  test.skipIf(isMissing)(isMissing ? `${name} (needs ${program})` : name, body);
}

/** Runs to the end; its exit status and all that it printed. */
function runs(program: string, args: readonly string[]): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve) => {
    execFile(program, [...args], { timeout: 50_000, cwd: place }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ status, text: `${stdout}${stderr}` });
    });
  });
}

const digest = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

async function fetched(client: TftpClient, file: string, at = port): Promise<void> {
  const into = join(place, 'got');
  rmSync(into, { force: true });
  events = [];
  const { status, text } = await runs(client.program, client.args(file, into, at));
  expect(status, text).toBe(0);
  expect(digest(into)).toBe(digest(join(root, file)));
}

/** The next such event, or one that came since the last download began. */
async function logged(event: string): Promise<Fields> {
  for (;;) {
    const found = events.find((entry) => entry.event === event);
    if (found !== undefined) return found.fields;
    await new Promise<void>((resolve) => waiting.push(resolve));
  }
}

describe.each(clients)('%s', (_, client) => {
  for (const file of ['0', '1', '511', '512', '513', '1468', '2936', '700001']) {
    tryWith(client.program, `fetches ${file} bytes`, async () => {
      await fetched(client, file);
      expect(await logged('tftp.done')).toMatchObject({ file, bytes: Number(file), blksize: client.blksize, window: client.window ?? 1 });
      expect(events.length).toBe(1);
    });
  }

  tryWith(client.program, 'fetches past block 65535', async () => {
    await fetched(client, 'sparse');
    expect(await logged('tftp.done')).toMatchObject({ bytes: 65_535 * 512 + 1024 });
  });

  for (const file of ['missing', 'outside']) {
    tryWith(client.program, `is told that there is no file ${file}`, async () => {
      events = [];
      const { text, status } = await runs(client.program, client.args(file, join(place, 'none'), port));
      expect(`${text} ${status}`).toMatch(/not found|\b68\b/i); // curl -sS prints its own words and ends with 68
      await logged('tftp.missing');
    });
  }
});

describe.each([
  ['a socket for each transfer', () => port],
  ['a single port', () => singlePort],
])('on a bad network, with %s', (_, server) => {
  for (const [name, client] of clients) {
    // atftp repeats an ACK once and then waits 5 s for silence, so every second loss in a row costs it ten seconds, whatever a server does.
    for (const percent of client.program === 'atftp' ? [0, 1] : [0, 1, 5]) {
      tryWith(client.program, `${name} gets its file although ${percent} % of all packets are lost and 5 % are late each way`, async () => {
        const network = await lossyUdp(server(), percent / 100, random(11), 0.05);
        try {
          await fetched(client, percent === 5 ? '100001' : '300001', network.port);
          await logged('tftp.done');
          if (percent === 5) expect(network.lost()).toBeGreaterThan(0);
        } finally {
          network.close();
        }
      });
    }
  }
});

interface Uploader {
  readonly program: string;
  readonly args: (from: string, name: string, at: number) => readonly string[];
}

const uploaders: readonly (readonly [string, Uploader])[] = [
  ['atftp', { program: 'atftp', args: (from, name, at) => ['-p', '-l', from, '-r', name, '127.0.0.1', `${at}`] }],
  ['atftp, blksize 1468', { program: 'atftp', args: (from, name, at) => ['-p', '--option', 'blksize 1468', '-l', from, '-r', name, '127.0.0.1', `${at}`] }],
  ['tftp-hpa', { program: 'tftp', args: (from, name, at) => ['-m', 'octet', '127.0.0.1', `${at}`, '-c', 'put', from, name] }],
  ['curl', { program: 'curl', args: (from, name, at) => ['-sS', '-T', from, `tftp://127.0.0.1:${at}/${name}`] }],
  ['busybox, blksize 1428', { program: 'busybox', args: (from, name, at) => ['tftp', '-p', '-b', '1428', '-l', from, '-r', name, '127.0.0.1', `${at}`] }],
];

describe.each(uploaders)('%s writes', (_, client) => {
  for (const file of ['0', '1', '512', '1468', '700001']) {
    for (const [how, server] of [
      ['', () => port],
      [' to a single port', () => singlePort],
    ] as const) {
      tryWith(client.program, `${file} bytes${how}`, async () => {
        rmSync(area, { recursive: true, force: true });
        events = [];
        const { status, text } = await runs(client.program, client.args(join(root, file), 'log', server()));
        expect(status, text).toBe(0);
        expect(await logged('tftp.stored')).toMatchObject({ file: 'log', bytes: Number(file) });
        expect(digest(join(area, 'log'))).toBe(digest(join(root, file)));
        expect(readdirSync(area)).toEqual(['log']);
      });
    }
  }

  tryWith(client.program, 'nothing where a file is already', async () => {
    rmSync(area, { recursive: true, force: true });
    mkdirSync(area);
    writeFileSync(join(area, 'log'), 'old');
    events = [];
    const { status, text } = await runs(client.program, client.args(join(root, '512'), 'log', port));
    expect(`${text} ${status}`).toMatch(/exists|already|\b73\b|error|\b1\b/i);
    await logged('tftp.refused');
    expect(readFileSync(join(area, 'log'), 'utf8')).toBe('old');
  });

  if (client.program !== 'atftp') {
    tryWith(client.program, 'although 1 % of all packets are lost and 5 % are late each way', async () => {
      rmSync(area, { recursive: true, force: true });
      events = [];
      const network = await lossyUdp(port, 0.01, random(12), 0.05);
      try {
        const { status, text } = await runs(client.program, client.args(join(root, '30001'), 'log', network.port));
        expect(status, text).toBe(0);
        await logged('tftp.stored');
        expect(digest(join(area, 'log'))).toBe(digest(join(root, '30001')));
      } finally {
        network.close();
      }
    });
  }
});

tryWith('tftp', 'tftp-hpa in its own default mode, netascii, gets the text back as it was', async () => {
  events = [];
  const into = join(place, 'text');
  await runs('tftp', ['127.0.0.1', `${port}`, '-c', 'get', 'text', into]);
  await logged('tftp.done');
  expect(readFileSync(into, 'latin1')).toBe('one\ntwo\r\nthree\rfour');
});

tryWith('curl', 'sixteen clients at once get their files', async () => {
  const [, curl] = clients[5]!;
  const all = await Promise.all(
    Array.from({ length: 16 }, (_, index) =>
      runs('curl', curl.args('700001', join(place, `got${index}`), port)).then(() => digest(join(place, `got${index}`))),
    ),
  );
  expect(new Set(all)).toEqual(new Set([digest(join(root, '700001'))]));
});
