// The terminal of a job: a pseudo-terminal in its own devpts and a program beside it that copies, so that both move with it. pty(7), ioctl_tty(2).
import { basename } from 'node:path';
import type { Window } from './types.ts';

/**
 * In Perl, whose base Debian always has. Not script(1): it ends when poll(2) says EINTR, as criu lets it after a restore. Arguments: rows, columns (0: leave
 * them), the program. The numbers are those of x86-64: O_RDWR|O_NOCTTY|O_NONBLOCK, TIOCSPTLCK, TIOCGPTN, TIOCSWINSZ; setsid(2), TIOCSCTTY, TIOCSPGRP;
 * EINTR 4, EAGAIN 11. Three processes: the copier, the leader of the terminal's session, and the program in a group of its own. The program is not the leader
 * itself, because Ctrl-Z stops only a group that has somebody above it in its session (POSIX 2.4.3); the leader's end hangs the terminal up. It has the terminal
 * open: to one that has not, criu 4.1 gives no controlling terminal back; and it gives it to nobody but the leader, so a shell, which has to hand the terminal
 * on, is the leader itself ($leads).
 */
const terminalProgram = `sub fail { print STDERR "mosrun: there is no terminal: $_[0]: $!\\n"; exit 126 }
my ($leads, $rows, $columns) = splice(@ARGV, 0, 3);
sysopen(M, "/dev/ptmx", 2 | 0400 | 04000) or fail("/dev/ptmx");
my $number = pack("I", 0);
ioctl(M, 0x40045431, $number) or fail("unlock");
ioctl(M, 0x80045430, $number) or fail("number");
my $slave = "/dev/pts/" . unpack("I", $number);
ioctl(M, 0x5414, pack("S4", $rows, $columns, 0, 0)) if $rows;
sysopen(S, $slave, 2 | 0400) or fail($slave);
my $child = fork;
defined $child or fail("fork");
if ($child == 0) {
  close(M);
  syscall(112) >= 0 or fail("setsid");
  ioctl(S, 0x540e, 0) or fail("controlling");
  my $program = $leads ? 0 : fork;
  defined $program or fail("fork");
  if ($program == 0) {
    setpgrp if !$leads;
    $SIG{TTOU} = "IGNORE";
    ioctl(S, 0x5410, pack("i", $$)) or fail("foreground");
    $SIG{TTOU} = "DEFAULT";
    open(STDIN, "<&S"); open(STDOUT, ">&S"); open(STDERR, ">&S");
    close(S);
    exec {$ARGV[0]} @ARGV;
    exit 126;
  }
  open(STDIN, "<&S"); open(STDOUT, ">&S"); open(STDERR, ">&S");
  close(S);
  1 while waitpid($program, 0) < 0 && $! == 4;
  exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
}
close(S);
open(STDERR, ">/dev/null");
$SIG{PIPE} = "IGNORE";
my ($in, $out, $open, $taken) = ("", "", 1, 1);
while (1) {
  my ($r, $w) = ("", "");
  vec($r, 0, 1) = 1 if $open && length($in) < 4096;
  vec($r, fileno(M), 1) = 1 if length($out) < 65536;
  vec($w, fileno(M), 1) = 1 if length($in);
  vec($w, 1, 1) = 1 if length($out);
  next if select($r, $w, undef, undef) < 0;
  if (vec($r, 0, 1)) {
    my $n = sysread(STDIN, $in, 4096, length($in));
    if (defined $n && $n == 0) { $open = 0; $in .= "\\4" }
  }
  if (vec($w, fileno(M), 1)) {
    my $n = syswrite(M, $in);
    substr($in, 0, $n) = "" if defined $n;
  }
  if (vec($w, 1, 1)) {
    my $n = syswrite(STDOUT, $out, 4096);
    if (defined $n) { substr($out, 0, $n) = "" }
    elsif ($! != 4 && $! != 11) { $taken = 0 }
  }
  if (vec($r, fileno(M), 1)) {
    my $n = sysread(M, $out, 65536, length($out));
    last if !defined $n && $! != 4 && $! != 11 || defined $n && $n == 0;
  }
  $out = "" if !$taken;
}
while ($taken && length($out)) {
  my $n = syswrite(STDOUT, $out);
  if (defined $n) { substr($out, 0, $n) = "" }
  elsif ($! != 4) { last }
}
1 while waitpid($child, 0) < 0 && $! == 4;
exit($? & 127 ? 128 + ($? & 127) : $? >> 8);`;

/** Leads to a program in a terminal of its own. */
export function terminalWords(args: readonly string[], window: Window | undefined): readonly string[] {
  return ['perl', '-e', terminalProgram, leadsSession(args) ? '1' : '0', String(window?.rows ?? 0), String(window?.columns ?? 0)];
}

const shells = new Set(['sh', 'dash', 'bash', 'ash', 'zsh', 'ksh', 'mksh', 'fish', 'tcsh', 'csh']);

/** Whether a program is the leader of its terminal's session itself: a shell that somebody sits at, which keeps its own jobs and is never stopped. */
export function leadsSession([program = '', ...options]: readonly string[]): boolean {
  return shells.has(basename(program)) && options.every((option) => option.startsWith('-') && (option.startsWith('--') || !option.includes('c')));
}
