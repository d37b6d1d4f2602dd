// The door to UDP, as far as it needs no privilege; the tie to an interface is tried in test/interop/dhcp.test.ts.
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { openUdp } from '../../src/base/datagrams.ts';

const loopback = ipv4('127.0.0.1');

test('a datagram goes from one socket to another', async () => {
  const [a, b] = await Promise.all([openUdp({ address: loopback, port: 0 }), openUdp({ address: loopback, port: 0 })]);
  const heard = once(b, 'message');
  a.send('hello', b.address().port, loopback);
  expect(String((await heard)[0])).toBe('hello');
  a.close();
  b.close();
});

test('a taken port is named with the way to find who has it', async () => {
  const holder = await openUdp({ address: loopback, port: 0 });
  const { port } = holder.address();
  await expect(openUdp({ address: loopback, port })).rejects.toMatchObject({
    code: 'port.taken',
    message: `UDP port ${port} of 127.0.0.1 is used by another program`,
    hint: `find it with: ss -lunp 'sport = :${port}'`,
  });
  holder.close();
});

test('an address of another machine is named', async () => {
  await expect(openUdp({ address: ipv4('192.0.2.1'), port: 0 })).rejects.toMatchObject({ code: 'address.absent' });
});

test.each(['farm-no-such0', '', 'a name too long for Linux', 'eth0\0', 'a b'])('interface %j does not exist', async (name) => {
  await expect(openUdp({ address: loopback, port: 0, interface: name })).rejects.toMatchObject({ code: 'interface.absent' });
});

test('broadcasts are refused by the kernel unless they were asked for', async () => {
  const socket = await openUdp({ address: loopback, port: 0 });
  const failed = new Promise((resolve) => socket.send('x', 9, '127.255.255.255', resolve));
  expect(await failed).toMatchObject({ code: 'EACCES' });
  socket.close();
});

test('a socket tied to loopback hears loopback', async () => {
  const socket = await openUdp({ address: ipv4('0.0.0.0'), port: 0, interface: 'lo', broadcast: true });
  const heard = once(socket, 'message');
  socket.send('hello', socket.address().port, '127.0.0.1');
  expect(String((await heard)[0])).toBe('hello');
  socket.close();
});
