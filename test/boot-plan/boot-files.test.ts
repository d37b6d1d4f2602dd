import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, test } from 'vitest';
import { type Ipv4, ipv4, mac } from '../../src/base/addresses.ts';
import { nbiCommandLine, nbiCommandLineOffset } from '../../src/boot/nbi.ts';
import { type BootAction, type BootPlan, kernelCommandLine } from '../../src/boot/plan.ts';
import { scriptTemplate } from '../../src/cli/package.ts';
import { type BootFileFound, bootFiles, tftpBody } from '../../src/farm/boot-files.ts';
import type { Farm, Network, Node, Profile } from '../../src/farm/farm.ts';
import type { LiveFarm } from '../../src/farm/live.ts';
import { indexFarm } from '../../src/farm/registry.ts';
import { unlimited } from '../../src/tree/room.ts';
import { everything } from '../support/nfs-farm.ts';

const directory = mkdtempSync(join(tmpdir(), 'farm-boot-files-'));
const image = join(directory, 'images', 'debian-13', '0123456789ab');
mkdirSync(join(image, 'loaders'), { recursive: true });
for (const name of ['kernel', 'loaders/undionly.kpxe']) writeFileSync(join(image, name), name);
const generic = Buffer.alloc(8000, 0x5a);
writeFileSync(join(image, 'kernel.nbi'), generic);
afterAll(() => rmSync(directory, { recursive: true }));

const server = ipv4('10.11.0.1');
const profile: Profile = {
  name: 'default',
  ancestors: [],
  tags: [],
  origins: {},
  image: 'debian-13',
  kernelArgs: [],
  consoleLogin: false,
  root: 'nfs',
  rootAccess: everything,
  shared: [],
  loader: 'auto',
  boot: 'default',
  quota: unlimited,
  power: { kind: 'wol' },
  openmosix: {},
  options: [],
};
const network = { name: 'main', server, subnet: { address: ipv4('10.11.0.0'), prefix: 24 } } as unknown as Network;
function node(id: number, identity: Partial<Node>): Node {
  return { name: `n${id}`, id, address: ipv4(`10.11.0.${id + 9}`), network, profile, tags: [], options: [], ...identity };
}
const nodes = [node(1, { mac: mac('52:54:00:12:34:56') }), node(2, { uuid: 'b8945908-d6a6-41a9-611d-74a6ab80b83d' })];
const farm = { name: 'lab', networks: [network], nodes } as unknown as Farm;
const live = { directory, published: { farm, ...indexFarm(farm) } } as unknown as LiveFarm;

const actions = new Map<string, BootAction>();
function plan({ name, address, mac: card, uuid }: Node): BootPlan {
  const identity = { ...(card === undefined ? {} : { mac: card }), ...(uuid === undefined ? {} : { uuid }) };
  const action = actions.get(name) ?? 'default';
  return {
    node: name,
    ...identity,
    address,
    server,
    httpPort: 80,
    image: { name: 'debian-13', version: '0123456789ab' },
    kernelArgs: [],
    root: { kind: 'nfs' },
    loader: 'auto',
    action,
  };
}
const files = bootFiles(live, plan, scriptTemplate());
const [n1, n2, stranger] = ['10.11.0.10', '10.11.0.11', '10.11.0.99'].map((text) => text as Ipv4) as [Ipv4, Ipv4, Ipv4];

function textOf(found: BootFileFound | undefined): string | undefined {
  return found?.body.kind === 'text' ? found.body.text : undefined;
}

describe('a menu', () => {
  test.each<[string, string, Ipv4, string | undefined]>([
    ['of the node that the path names, for whoever asks', 'boot/n1.ipxe', stranger, 'n1'],
    ["of the node that the card says, at another server's address", 'images/debian-13/0123456789ab/loaders/pxelinux.cfg/01-52-54-00-12-34-56', stranger, 'n1'],
    ['of the node that the GUID says', 'pxelinux.cfg/b8945908-d6a6-41a9-611d-74a6ab80b83d', stranger, 'n2'],
    ['of the node that the GUID says in the other order of its bytes', 'pxelinux.cfg/085994b8-a6d6-a941-611d-74a6ab80b83d', stranger, 'n2'],
    ['of the asker, by a GUID that nobody registered', 'pxelinux.cfg/00000000-0000-0000-0000-000000000001', n1, 'n1'],
    ['of the asker, by a card that nobody registered', 'pxelinux.cfg/01-02-02-02-02-02-02', n2, 'n2'],
    ['of the node with the address', 'pxelinux.cfg/0A0B000B', stranger, 'n2'],
    ['of the asker, by default', 'pxelinux.cfg/default', n2, 'n2'],
    ['of the asker for GRUB', 'grub/grub.cfg', n2, 'n2'],
    ['of nobody', 'pxelinux.cfg/default', stranger, undefined],
    ['of nobody by name', 'boot/n3.ipxe', n1, undefined],
  ])('is that %s', (_, path, client, expected) => {
    const found = files.find(path, client);
    expect([found?.menuOf?.name, found?.stage]).toEqual(expected === undefined ? [undefined, undefined] : [expected, 'menu']);
    if (expected !== undefined) expect(textOf(found)).toContain(`# ${expected}`);
  });

  it('says what is ordered, and so does the note of its being fetched', () => {
    actions.set('n1', 'memtest');
    const found = files.find('boot/n1.ipxe', n1);
    actions.clear();
    expect([textOf(found)?.includes('/loaders/memtest'), found?.detail]).toEqual([true, 'iPXE script, memtest']);
  });

  it('sends an unknown GRUB to the name that its card makes', () => {
    expect(textOf(files.find('grub/grub.cfg', stranger))).toBe('configfile $prefix/grub.cfg-01-$net_default_mac\nexit\n');
    expect(files.find('grub/grub.cfg-01-02:02:02:02:02:02', stranger)).toBeUndefined();
    expect(files.find('grub/grub.cfg-01-52:54:00:12:34:56', stranger)?.menuOf?.name).toBe('n1');
  });

  it.each(['autoexec.ipxe', 'images/debian-13/0123456789ab/loaders/autoexec.ipxe'])('that only leads to the script takes no order with it: %s', (path) => {
    const found = files.find(path, n1);
    expect([textOf(found)?.includes('chain --replace --autofree http://10.11.0.1/boot/n1.ipxe'), found?.menuOf]).toEqual([true, undefined]);
  });
});

describe('an image', () => {
  test.each(['kernel', 'kernel.sig', 'initramfs', 'root.squashfs', 'root.squashfs.sig', 'kernel.nbi', 'loaders/ldlinux.c32'])(
    'has its %s for anybody',
    (name) => {
      expect(files.find(`images/debian-13/0123456789ab/${name}`, stranger)?.body).toEqual({
        kind: 'file',
        directory: join(directory, 'images'),
        path: `debian-13/0123456789ab/${name}`,
      });
    },
  );

  test.each(['root/etc/shadow', 'root.mtree', 'manifest.json', 'loaders/../kernel', 'loaders/a/b', 'kernel.nbi.sig', ''])('keeps its %s', (name) => {
    expect(files.find(`images/debian-13/0123456789ab/${name}`, n1)).toBeUndefined();
  });

  test.each(['undionly.kpxe', 'ipxe.pxe', 'pxelinux.0', 'ldlinux.c32', 'grubx64.efi', 'memtest.nbi'])("gives a node's loader %s by its bare name", (name) => {
    expect(files.find(name, n1)?.body).toMatchObject({ kind: 'file', path: `debian-13/0123456789ab/loaders/${name}` });
    expect(files.find(name, stranger)).toBeUndefined();
  });
});

describe('a net boot image', () => {
  /** Its bytes as a TFTP transfer reads them, `piece` at a time. */
  async function fetched(piece: number): Promise<Buffer> {
    const found = files.find('boot/n1.nbi', n1);
    const file = found === undefined ? undefined : await tftpBody(found.body);
    if (file === undefined) throw new Error('there is none');
    const open = await file.open();
    const whole = Buffer.alloc(file.size);
    for (let at = 0; at < file.size; at += piece) {
      const part = Buffer.alloc(piece);
      part.copy(whole, at, 0, await open.read(at, part));
    }
    await open.close();
    return whole;
  }

  test.each([1, 511, 512, 1468, 8000, 65_464])("is the image's with the node's command line in it, read by %i bytes", async (piece) => {
    const expected = Buffer.from(generic);
    const [first] = nodes;
    if (first !== undefined) nbiCommandLine(kernelCommandLine(plan(first))).copy(expected, nbiCommandLineOffset);
    expect((await fetched(piece)).equals(expected)).toBe(true);
  });

  test.each<[BootAction, string | undefined]>([
    ['default', 'debian-13/0123456789ab/kernel.nbi'],
    ['shell', 'debian-13/0123456789ab/kernel.nbi'],
    ['memtest', 'debian-13/0123456789ab/loaders/memtest.nbi'],
    ['local', undefined],
  ])('for the action %s is %s', (action, path) => {
    actions.set('n1', action);
    const found = files.find('boot/n1.nbi', n1);
    actions.clear();
    expect(found?.body.kind === 'file' ? found.body.path : undefined).toBe(path);
    expect(found?.menuOf?.name).toBe(path === undefined ? undefined : 'n1');
  });

  it('of an image that has none is not there', async () => {
    expect(await tftpBody({ kind: 'file', directory, path: 'images/none/kernel.nbi', patch: { offset: 0, bytes: Buffer.alloc(1) } })).toBeUndefined();
  });
});

it('people find a list of menus', () => {
  expect(textOf(files.find('boot/', stranger))).toBe(
    'n1  /boot/n1.ipxe  /boot/n1.pxelinux  /boot/n1.grub\nn2  /boot/n2.ipxe  /boot/n2.pxelinux  /boot/n2.grub\n',
  );
});
