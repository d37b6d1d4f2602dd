// The QEMU command line of one diskless PC (qemu(1)): BIOS or UEFI, one network card with its boot ROM, a serial console.
import type { MachinePlan } from './plan.ts';

/** Debian's package ovmf: EDK2's firmware, and the variables of a machine that was never switched on. */
const ovmfCode = '/usr/share/OVMF/OVMF_CODE_4M.fd';
export const ovmfVariables = '/usr/share/OVMF/OVMF_VARS_4M.fd';

export interface QemuPaths {
  /** Unix socket of the serial console. */
  readonly serial: string;
  /** File that keeps all the console printed. */
  readonly log: string;
  /** Unix socket of a QMP monitor for other programs. */
  readonly monitor: string;
  /** File with the machine's own UEFI variables; a BIOS machine has none. */
  readonly variables: string;
}

/** How long a PC that found nothing to boot waits until it tries again: long enough to read why. */
const retryMilliseconds = 5000;

/** A comma ends a value in QEMU's option syntax; two stand for one. */
function value(text: string): string {
  return text.replaceAll(',', ',,');
}

/**
 * The arguments for qemu-system-x86_64. QMP for the supervisor is on stdin and stdout. `graphics=off` makes SeaBIOS copy the text screen to
 * the serial port (etc/sercon-port), so the console log has what the BIOS, the boot ROM and the loader print; EDK2 prints there by itself.
 */
export function qemuArguments(machine: MachinePlan, tap: string, paths: QemuPaths): string[] {
  return [
    ['-name', value(machine.name)],
    ['-uuid', `00000000-0000-4000-8000-${machine.mac.replaceAll(':', '')}`], // what DHCP option 97 tells the server, as a real PC's would be: its own
    ...firmware(machine, paths),
    // 256 MiB hold the translated code of a whole boot; QEMU would take a gigabyte for each machine.
    ['-accel', 'tcg,thread=multi,tb-size=256'], // KVM inside a virtual machine often breaks, and a lab must boot the same everywhere
    ['-cpu', 'max'], // distributions that want x86-64-v2 (RHEL 9 and its kin) do not start on the default qemu64
    ['-smp', String(machine.cpus)],
    ['-m', String(machine.memoryMiB)],
    ['-nodefaults', '-no-user-config'],
    ['-display', 'none'],
    ['-netdev', `tap,id=net0,ifname=${tap},script=no,downscript=no`],
    ['-device', `${machine.card},netdev=net0,mac=${machine.mac}${rom(machine)}`],
    ['-chardev', `socket,id=console,path=${value(paths.serial)},server=on,wait=off,logfile=${value(paths.log)},logappend=on`],
    ['-serial', 'chardev:console'],
    ['-chardev', 'stdio,id=control,signal=off'],
    ['-mon', 'chardev=control,mode=control'],
    ['-qmp', `unix:${value(paths.monitor)},server=on,wait=off`],
  ].flat();
}

/** The board and what is burnt into it. */
function firmware(machine: MachinePlan, paths: QemuPaths): string[][] {
  if (machine.firmware === 'bios') {
    return [
      ['-machine', 'pc,graphics=off'],
      ['-boot', `n,reboot-timeout=${retryMilliseconds}`],
    ];
  }
  return [
    ['-machine', 'q35,graphics=off'],
    ['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${ovmfCode}`],
    ['-drive', `if=pflash,unit=1,format=raw,file=${value(paths.variables)}`],
    // EDK2 comes to HTTP boot after two minutes of PXE over IPv4 and IPv6 that nobody answers (OvmfPkg/Library/PxeBcPcdProducerLib).
    ...(machine.firmware === 'uefi-http' ? ['IPv4PXESupport', 'IPv6PXESupport'].map((name) => ['-fw_cfg', `name=opt/org.tianocore/${name},string=n`]) : []),
  ];
}

function rom({ firmware, rom }: MachinePlan): string {
  const index = firmware === 'bios' ? '' : ',bootindex=1'; // EDK2 would go to its shell else, when a boot has failed
  return rom === 'card' ? index : `${index},romfile=${rom === 'none' ? '' : value(rom)}`;
}
