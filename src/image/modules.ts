// Which kernel modules an initramfs needs: depmod's tables (modules.dep(5)), module classes, and the closure of their dependencies.
import { FarmError } from '../base/errors.ts';

/** What depmod and the kernel build wrote about one kernel's modules. */
export interface ModuleIndex {
  /** Path under lib/modules/RELEASE -> the paths it needs. */
  readonly needs: ReadonlyMap<string, readonly string[]>;
  /** Name with underscores -> path. */
  readonly paths: ReadonlyMap<string, string>;
  readonly builtin: ReadonlySet<string>;
  /** Name -> modules to load before it, if there are such (`softdep … pre:`). */
  readonly before: ReadonlyMap<string, readonly string[]>;
  /** Alias lines in file order: pattern and module name. */
  readonly aliases: readonly (readonly [string, string])[];
}

interface ModuleClass {
  /** Every module below these directories. */
  readonly directories: readonly string[];
  /** Modules that the kernel may lack: it was configured without the hardware. */
  readonly optional: readonly string[];
  /** Modules without which the class is no use; built into the kernel will do. */
  readonly required: readonly string[];
}

/** What a recipe may list under `modules`. */
export const moduleClasses = {
  /** Wired cards, and the PHY drivers that they load by the chip that they find. */
  ethernet: { directories: ['kernel/drivers/net/ethernet', 'kernel/drivers/net/phy', 'kernel/drivers/net/mdio'], optional: [], required: ['af_packet'] },
  /** The cards of virtual machines: KVM, VMware, Hyper-V, Xen. */
  virtual: { directories: [], optional: ['virtio_mmio', 'vmxnet3', 'hv_netvsc', 'pci_hyperv', 'xen_netfront'], required: ['virtio_pci', 'virtio_net'] },
  'usb-ethernet': { directories: ['kernel/drivers/net/usb'], optional: ['xhci_pci', 'ehci_pci', 'ohci_pci', 'uhci_hcd'], required: ['usbcore'] },
  /** For the shell on the console. */
  keyboard: { directories: [], optional: ['i8042', 'atkbd', 'hid_generic', 'usbhid', 'xhci_pci', 'ehci_pci', 'ohci_pci', 'uhci_hcd'], required: [] },
  nfs: { directories: [], optional: [], required: ['nfs', 'nfsv3', 'sunrpc'] },
  overlay: { directories: [], optional: [], required: ['overlay'] },
  squashfs: { directories: [], optional: [], required: ['squashfs', 'loop'] },
  /** For what `farm boot NODE reinstall` runs: the disks of PCs and of virtual machines, and the file systems on them. */
  disk: {
    directories: [],
    optional: ['ahci', 'ata_piix', 'nvme', 'sd_mod', 'virtio_blk', 'virtio_scsi', 'usb_storage', 'ext4', 'vfat', 'nls_ascii', 'nls_cp437'],
    required: [],
  },
} as const satisfies Record<string, ModuleClass>;

export type ModuleClassName = keyof typeof moduleClasses;

/** Modules by class, or every one that the kernel has. */
export type ModuleChoice = 'all' | readonly ModuleClassName[];

/** The module's name: of `kernel/fs/nfs/nfs-v3.ko.xz` it is `nfs_v3`, for the kernel takes `-` and `_` as one. */
export function moduleName(path: string): string {
  return path
    .slice(path.lastIndexOf('/') + 1)
    .replace(/\.ko(\.(xz|zst|gz))?$/, '')
    .replaceAll('-', '_');
}

/** Reads modules.dep, modules.builtin, modules.softdep and modules.alias. Lines that mean nothing here are passed over, as modprobe does. */
export function readModuleIndex(files: { readonly dep: string; readonly builtin: string; readonly softdep: string; readonly alias: string }): ModuleIndex {
  const needs = new Map<string, readonly string[]>();
  for (const line of files.dep.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) needs.set(line.slice(0, colon), words(line.slice(colon + 1)));
  }
  const before = new Map<string, readonly string[]>();
  for (const [keyword, name, ...rest] of files.softdep.split('\n').map(words)) {
    if (keyword !== 'softdep' || name === undefined || !rest.includes('pre:')) continue;
    const post = rest.indexOf('post:');
    const pre = rest.slice(rest.indexOf('pre:') + 1, post > rest.indexOf('pre:') ? post : undefined);
    before.set(moduleName(name), [...(before.get(moduleName(name)) ?? []), ...pre.map(moduleName)]);
  }
  const aliases: (readonly [string, string])[] = [];
  for (const [keyword, pattern, name] of files.alias.split('\n').map(words)) {
    if (keyword === 'alias' && pattern !== undefined && name !== undefined) aliases.push([pattern, moduleName(name)]);
  }
  return {
    needs,
    paths: new Map([...needs.keys()].map((path) => [moduleName(path), path])),
    builtin: new Set(
      files.builtin
        .split('\n')
        .filter((line) => line !== '')
        .map(moduleName),
    ),
    before,
    aliases,
  };
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

/** The paths of all modules of the chosen classes with everything they need, sorted. Throws `FarmError` `image.module` if the kernel lacks a required one. */
export function selectModules(index: ModuleIndex, choice: ModuleChoice): string[] {
  if (choice === 'all') return [...index.needs.keys()].sort();
  const chosen = new Set<string>();
  const open = choice.flatMap((name) => membersOf(index, name));
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (chosen.has(path)) continue;
    chosen.add(path);
    open.push(...(index.needs.get(path) ?? []));
    for (const module of index.before.get(moduleName(path)) ?? []) open.push(...pathOf(index, module));
  }
  return [...chosen].sort();
}

function membersOf(index: ModuleIndex, name: ModuleClassName): string[] {
  const { directories, optional, required }: ModuleClass = moduleClasses[name];
  const missing = required.find((module) => !index.paths.has(module) && !index.builtin.has(module));
  if (missing !== undefined) {
    throw new FarmError('image.module', `the kernel has no module ${missing}, which "modules: ${name}" needs`, 'name another kernel package in the recipe');
  }
  const below = [...index.needs.keys()].filter((path) => directories.some((directory) => path.startsWith(`${directory}/`)));
  return [...below, ...[...optional, ...required].flatMap((module) => pathOf(index, module))];
}

function pathOf(index: ModuleIndex, module: string): string[] {
  const path = index.paths.get(module);
  return path === undefined ? [] : [path];
}

/** A path as it is in the initramfs, where modules are not compressed one by one. */
export function plainModulePath(path: string): string {
  return path.replace(/(\.ko)\.(xz|zst|gz)$/, '$1');
}

/** modules.dep of the chosen modules alone. Dependencies on modules that are not chosen cannot be: the selection is closed. */
export function formatModulesDep(index: ModuleIndex, chosen: readonly string[]): string {
  return chosen.map((path) => `${[`${plainModulePath(path)}:`, ...(index.needs.get(path) ?? []).map(plainModulePath)].join(' ')}\n`).join('');
}

/** modules.alias of the chosen modules alone. */
export function formatModulesAlias(index: ModuleIndex, chosen: readonly string[]): string {
  const names = new Set(chosen.map(moduleName));
  return index.aliases
    .filter(([, name]) => names.has(name))
    .map(([pattern, name]) => `alias ${pattern} ${name}\n`)
    .join('');
}
