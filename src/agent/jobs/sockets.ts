// The sockets of a network namespace, by inode: /proc/PID/net (proc_net(5)), and ss(8) for who is at the other end of a unix socket. Text -> values.
import type { SocketFacts } from './obstacles.ts';

type Kind = SocketFacts['kind'];

/** /proc/net/tcp, udp, raw and their 6s: `sl local_address rem_address st ... uid timeout inode`. */
export function parseInetSockets(text: string, kind: Kind): ReadonlyMap<string, SocketFacts> {
  const found = new Map<string, SocketFacts>();
  for (const line of text.split('\n').slice(1)) {
    const [, local, remote, , , , , , , inode] = line.trim().split(/\s+/);
    if (local === undefined || remote === undefined || inode === undefined) continue;
    const far = /^0+:0000$/.test(remote);
    found.set(inode, { kind, words: far ? `listens at ${address(local)}` : `${address(local)} to ${address(remote)}`, peer: undefined });
  }
  return found;
}

/** Hexadecimal, each 32-bit word in the processor's order, which is little-endian. */
function address(text: string): string {
  const [host = '', port = ''] = text.split(':');
  const bytes = Buffer.from(host, 'hex');
  for (let at = 0; at + 4 <= bytes.length; at += 4) bytes.writeUInt32LE(bytes.readUInt32BE(at), at);
  const words =
    bytes.length === 4
      ? [...bytes].join('.')
      : `[${Array.from({ length: bytes.length / 2 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16)).join(':')}]`;
  return `${words}:${Number.parseInt(port, 16)}`;
}

/** The last column of /proc/net/packet and the third last of netlink is the inode too. */
export function parseInodes(text: string, kind: Kind, column: number): ReadonlyMap<string, SocketFacts> {
  const found = new Map<string, SocketFacts>();
  for (const line of text.split('\n').slice(1)) {
    const inode = line.trim().split(/\s+/)[column];
    if (inode !== undefined) found.set(inode, { kind, words: '', peer: undefined });
  }
  return found;
}

/** `ss -xanH`: netid state recv-q send-q local-path local-inode peer-path peer-inode. */
export function parseUnixSockets(text: string): ReadonlyMap<string, SocketFacts> {
  const found = new Map<string, SocketFacts>();
  for (const line of text.split('\n')) {
    const [, , , , path, inode, , peer] = line.trim().split(/\s+/);
    if (path === undefined || inode === undefined) continue;
    found.set(inode, { kind: 'unix', words: path === '*' ? '' : path, peer: peer === undefined || peer === '0' ? undefined : peer });
  }
  return found;
}
