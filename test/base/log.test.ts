import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { type LogFormat, openLog } from '../../src/base/log.ts';

function logged(format: LogFormat, ...events: readonly Parameters<ReturnType<typeof openLog>>[]): string {
  const out = new PassThrough();
  const log = openLog(format, out);
  for (const event of events) log(...event);
  return out.read()?.toString() ?? '';
}

test('people get a line with time, event and fields, and no control characters of a remote', () => {
  const text = logged(
    'pretty',
    ['info', 'dhcp.offer', { mac: '52:54:00:00:00:01', sockets: ['udp a:1', 'tcp b:2'], absent: undefined }],
    ['warn', 'tftp.refused', { path: 'a\x1b[2J b' }],
  );
  expect(text.replace(/^\d\d:\d\d:\d\d /gm, '')).toBe(
    'dhcp.offer       mac=52:54:00:00:00:01 sockets="udp a:1, tcp b:2"\nWARN tftp.refused     path="a\\u001b[2J b"\n',
  );
});

test('programs get one JSON object a line', () => {
  const [line = ''] = logged('json', ['info', 'serve.ready', { pid: 7 }]).split('\n');
  expect(JSON.parse(line)).toMatchObject({ level: 'info', event: 'serve.ready', pid: 7 });
});

test('details are left out unless they are asked for', () => {
  expect(logged('pretty', ['debug', 'x', {}])).toBe('');
});
