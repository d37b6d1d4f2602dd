import { describe, expect, test } from 'vitest';
import { FarmError } from '../../src/base/errors.ts';
import { formatModulesAlias, formatModulesDep, moduleName, plainModulePath, readModuleIndex, selectModules } from '../../src/image/modules.ts';

const net = 'kernel/drivers/net';
const files = {
  dep: `kernel/fs/nfs/nfs.ko.xz: kernel/fs/lockd/lockd.ko.xz kernel/net/sunrpc/sunrpc.ko.xz
kernel/fs/nfs/nfsv3.ko.xz: kernel/fs/nfs/nfs.ko.xz kernel/net/sunrpc/sunrpc.ko.xz
kernel/fs/lockd/lockd.ko.xz: kernel/net/sunrpc/sunrpc.ko.xz
kernel/net/sunrpc/sunrpc.ko.xz:
${net}/ethernet/realtek/r8169.ko.xz:
${net}/ethernet/intel/e1000.ko:
${net}/phy/realtek.ko.xz: ${net}/phy/phy-core.ko.xz
${net}/phy/phy-core.ko.xz:
${net}/wireless/ath9k.ko.xz: kernel/net/mac80211.ko.xz
kernel/net/mac80211.ko.xz:
kernel/drivers/net/virtio_net.ko.xz: kernel/net/core/failover.ko.xz
kernel/net/core/failover.ko.xz:
kernel/drivers/dca/dca.ko.xz:
`,
  builtin: 'kernel/net/packet/af_packet.ko\nkernel/drivers/virtio/virtio_pci.ko\n',
  softdep: '# Soft dependencies\nsoftdep r8169 pre: dca realtek post: crc32c\nsoftdep nfs post: nfs-layout\n',
  alias: `# Aliases
alias pci:v000010ECd00008168sv*sd*bc*sc*i* r8169
alias pci:v0000168Cd0000002Asv*sd*bc*sc*i* ath9k
alias fs-nfs nfs
alias phy-core-alias phy-core
`,
};
const index = readModuleIndex(files);

describe('the modules of an initramfs', () => {
  test.each([
    ['kernel/fs/nfs/nfs.ko.xz', 'nfs'],
    ['kernel/drivers/hid/hid-generic.ko', 'hid_generic'],
    ['virtio-pci', 'virtio_pci'],
    ['kernel/a/b.ko.zst', 'b'],
  ])('%s is called %s', (path, name) => expect(moduleName(path)).toBe(name));

  test('are those of the class with everything they need', () => {
    expect(selectModules(index, ['nfs'])).toEqual([
      'kernel/fs/lockd/lockd.ko.xz',
      'kernel/fs/nfs/nfs.ko.xz',
      'kernel/fs/nfs/nfsv3.ko.xz',
      'kernel/net/sunrpc/sunrpc.ko.xz',
    ]);
  });

  test('are every wired card and PHY, what is to be loaded before them, and no radio', () => {
    expect(selectModules(index, ['ethernet'])).toEqual([
      'kernel/drivers/dca/dca.ko.xz',
      `${net}/ethernet/intel/e1000.ko`,
      `${net}/ethernet/realtek/r8169.ko.xz`,
      `${net}/phy/phy-core.ko.xz`,
      `${net}/phy/realtek.ko.xz`,
    ]);
  });

  test('leave out what the kernel has built in, and what it was built without', () => {
    expect(selectModules(index, ['virtual', 'keyboard'])).toEqual(['kernel/drivers/net/virtio_net.ko.xz', 'kernel/net/core/failover.ko.xz']);
  });

  test('are the same whatever the order of the classes', () => {
    expect(selectModules(index, ['nfs', 'ethernet'])).toEqual(selectModules(index, ['ethernet', 'nfs']));
  });

  test('are all that the kernel has, if that is said, whatever it lacks', () => {
    expect(selectModules(index, 'all')).toEqual([...index.needs.keys()].sort());
  });

  test('are refused if the kernel lacks one without which the class is no use', () => {
    const select = () => selectModules(index, ['overlay']);
    expect(select).toThrow(FarmError);
    expect(select).toThrow('no module overlay, which "modules: overlay" needs');
  });

  test('come with tables that name them alone, as files that are not compressed', () => {
    const chosen = selectModules(index, ['nfs', 'ethernet']);
    expect(formatModulesDep(index, chosen)).toBe(`kernel/drivers/dca/dca.ko:
${net}/ethernet/intel/e1000.ko:
${net}/ethernet/realtek/r8169.ko:
${net}/phy/phy-core.ko:
${net}/phy/realtek.ko: ${net}/phy/phy-core.ko
kernel/fs/lockd/lockd.ko: kernel/net/sunrpc/sunrpc.ko
kernel/fs/nfs/nfs.ko: kernel/fs/lockd/lockd.ko kernel/net/sunrpc/sunrpc.ko
kernel/fs/nfs/nfsv3.ko: kernel/fs/nfs/nfs.ko kernel/net/sunrpc/sunrpc.ko
kernel/net/sunrpc/sunrpc.ko:
`);
    expect(formatModulesAlias(index, chosen)).toBe('alias pci:v000010ECd00008168sv*sd*bc*sc*i* r8169\nalias fs-nfs nfs\nalias phy-core-alias phy_core\n');
    expect(plainModulePath('a/b.ko.zst')).toBe('a/b.ko');
  });

  test('need each other in a circle without an end to the search', () => {
    const circle = readModuleIndex({
      dep: `${net}/ethernet/a.ko: ${net}/ethernet/b.ko\n${net}/ethernet/b.ko: ${net}/ethernet/a.ko\n`,
      builtin: files.builtin,
      softdep: '',
      alias: '',
    });
    expect(selectModules(circle, ['ethernet'])).toHaveLength(2);
  });
});
