// What U-Boot 2023.01 (Debian's qemu_arm64) sent for `nfs 0x41000000 10.98.1.1:/dir/file`, captured, and our answers: port mapper version 2,
// MOUNT version 2, NFS version 2, all by UDP from port 1000.
import { describe, expect, test } from 'vitest';
import { ipv4 } from '../../src/base/addresses.ts';
import { encodeHandle } from '../../src/nfs/handles.ts';
import { mappingsOf } from '../../src/rpc/portmap/mappings.ts';
import { portmap } from '../../src/rpc/portmap/program.ts';
import { MemoryTree } from '../support/memory-tree.ts';
import { loopback, testKey } from '../support/nfs-farm.ts';
import { nfsWorld, worldOwner } from '../support/nfs-world.ts';
import { directExchange } from '../support/rpc-client.ts';

const zeros = (bytes: number) => '00'.repeat(bytes);
/** Bytes that a client only gives back: 24, and 8 of fill. */
const handleOf = (object: number) => `${encodeHandle(testKey, { owner: worldOwner, generation: 1, object }).toString('hex')}${zeros(8)}`;
const handleOfDir = handleOf(2);
const handleOfFile = handleOf(3);
/** AUTH_SYS of root without a name, and an empty verifier. */
const root = `0000000100000014${zeros(20)}${zeros(8)}`;
const call = (xid: string, program: string, version: number, procedure: number, rest: string) =>
  `${xid}0000000000000002${program}0000000${version}0000000${procedure}${rest}`;
const accepted = (xid: string) => `${xid}00000001${zeros(16)}`;

const mount = '000186a5';
const nfs = '000186a3';
const mapper = '000186a0';

function exchange() {
  const tree = new MemoryTree({ clock: { now: () => 1_795_259_397_000 } });
  const dir = tree.create(tree.root, 'dir', { kind: 'directory' }, { mode: 0o755 });
  const file = tree.create(dir, 'file', { kind: 'file' }, { mode: 0o644 });
  tree.write(file, 0, Buffer.from(Array.from({ length: 20_000 }, (_, index) => index % 251)));
  const { answering, faults } = nfsWorld(tree);
  const mappings = mappingsOf([...answering.programs.values()], ['tcp', 'udp'], 2049);
  const programs = new Map([...answering.programs, [100_000, portmap({ address: ipv4('10.98.1.1'), mappings, now: () => 0 })] as const]);
  const send = directExchange({ ...answering, programs }, loopback, 'udp');
  return { faults, send: async (hex: string) => (await send(Buffer.from(hex, 'hex'))).toString('hex') };
}

const attributes = `00000001000081a400000001${zeros(8)}00004e2000001000${zeros(4)}00000028`;

describe('U-Boot', () => {
  test.each([
    ['GETPORT of MOUNT 1', call('00000001', mapper, 2, 3, `${zeros(16)}${mount}000000010000001100000000`), `${accepted('00000001')}00000801`],
    ['GETPORT of NFS 2', call('00000002', mapper, 2, 3, `${zeros(16)}${nfs}000000020000001100000000`), `${accepted('00000002')}00000801`],
    ['MNT', call('00000003', mount, 2, 1, `${root}000000042f646972`), `${accepted('00000003')}00000000${handleOfDir}`],
    ['LOOKUP', call('00000004', nfs, 2, 4, `${root}${handleOfDir}0000000466696c65`), `${accepted('00000004')}00000000${handleOfFile}${attributes}`],
    ['READ', call('00000005', nfs, 2, 6, `${root}${handleOfFile}000000000000040000000000`), `${accepted('00000005')}00000000${attributes}`],
    ['UMNTALL', call('0000001a', mount, 2, 4, root), accepted('0000001a')],
  ])('%s', async (_, message, answer) => {
    const { send, faults } = exchange();
    expect((await send(message)).slice(0, answer.length)).toBe(answer);
    expect(faults).toEqual([]);
  });

  test('reads 1 KiB at a time', async () => {
    const { send } = exchange();
    const reply = await send(call('00000006', nfs, 2, 6, `${root}${handleOfFile}000048000000040000000000`));
    const [count, data] = [reply.slice(-2 * (1024 + 4), -2 * 1024), Buffer.from(reply.slice(-2 * 1024), 'hex')];
    expect(count).toBe('00000400');
    expect([...data.subarray(0, 3)]).toEqual([18_432 % 251, 18_433 % 251, 18_434 % 251]);
  });
});
