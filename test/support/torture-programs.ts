// Programs that are moved again and again and check themselves, and what each must have printed. They go on until /home/torture/stop is there.

export interface TortureProgram {
  readonly name: string;
  /** Below /root/torture on every node. */
  readonly file: string;
  readonly text: string;
  /** What mosrun starts, on n1 in /home/torture. */
  readonly command: string;
  /** What stays at home and is piped into it. */
  readonly input?: string;
  /** The line of each round, from 1. */
  readonly lines: () => (round: number) => string;
}

const stop = '/home/torture/stop';
const files = '/root/torture';

/** The generator of ISO C's example rand(): what a program computes is known beforehand. */
function generator(seed: number): () => number {
  let x = seed;
  return () => {
    x = (Math.imul(x, 1_103_515_245) + 12_345) & 0x7fffffff;
    return x;
  };
}

const next = '$x = ($x * 1103515245 + 12345) & 0x7fffffff;';
const steps = 2000;
const mebibytes = 10;

export const torturePrograms: readonly TortureProgram[] = [
  {
    name: 'cpu',
    file: 'cpu.pl',
    text: `# Computes numbers that are known beforehand.
$| = 1; my $x = 1;
for (my $r = 1; !-e "${stop}"; $r++) { for (1 .. ${steps}) { ${next} } print "$r $x\\n"; select(undef, undef, undef, 0.2) }
print "done\\n";
`,
    command: `perl ${files}/cpu.pl`,
    lines() {
      const rand = generator(1);
      return (round) => {
        let x = 0;
        for (let step = 0; step < steps; step += 1) x = rand();
        return `${round} ${x}`;
      };
    },
  },
  {
    name: 'memory',
    file: 'memory.pl',
    text: `# Grows by a MiB a round, sums every block it has, lets all go at ${mebibytes} and begins again.
$| = 1; my $x = 2; my (@blocks, @sums);
for (my $r = 1; !-e "${stop}"; $r++) {
  if (@blocks >= ${mebibytes}) { @blocks = (); @sums = () }
  my $word = ""; for (1 .. 64) { ${next} $word .= pack("N", $x) }
  push @blocks, $word x 4096; push @sums, unpack("%32N*", $blocks[-1]);
  my $bad = grep { unpack("%32N*", $blocks[$_]) != $sums[$_] || length($blocks[$_]) != 1 << 20 } 0 .. $#blocks;
  print "$r $x " . scalar(@blocks) . " $bad\\n"; select(undef, undef, undef, 0.5);
}
print "done\\n";
`,
    command: `perl ${files}/memory.pl`,
    lines() {
      const rand = generator(2);
      return (round) => {
        let x = 0;
        for (let word = 0; word < 64; word += 1) x = rand();
        return `${round} ${x} ${((round - 1) % mebibytes) + 1} 0`;
      };
    },
  },
  {
    name: 'files',
    file: 'files.pl',
    text: `# Writes to two files that stay open, one on its own root and one that all nodes share; reads back what it wrote, a piece each time and now and then all.
$| = 1; my $x = 3; my (@open, @bytes);
for my $name ("/var/tmp/torture", "/home/torture/file") { open(my $f, "+>", $name) or die "$name: $!"; push @open, $f; push @bytes, "" }
for (my $r = 1; !-e "${stop}"; $r++) {
  my $bad = 0;
  for my $i (0 .. $#open) {
    my $f = $open[$i]; my $block = "";
    for (1 .. 16) { ${next} $block .= sprintf("%010d\\n", $x) }
    sysseek($f, 0, 2); $bad++ if syswrite($f, $block) != length($block);
    $bytes[$i] .= $block;
    my $at = $x % length($bytes[$i]); my $most = length($bytes[$i]) - $at; $most = 4096 if $most > 4096;
    sysseek($f, $at, 0); my $n = sysread($f, my $read, $most); $bad++ if $read ne substr($bytes[$i], $at, $most);
  }
  if ($r % 20 == 0) {
    for my $i (0 .. $#open) { sysseek($open[$i], 0, 0); my $all = ""; 1 while sysread($open[$i], $all, 65536, length($all)); $bad++ if $all ne $bytes[$i] }
  }
  print "$r $x $bad\\n"; select(undef, undef, undef, 0.4);
}
print "done\\n";
`,
    command: `perl ${files}/files.pl`,
    lines() {
      const rand = generator(3);
      return (round) => {
        let x = 0;
        for (let line = 0; line < 32; line += 1) x = rand();
        return `${round} ${x} 0`;
      };
    },
  },
  {
    name: 'pipeline',
    file: 'pipeline.sh',
    text: `# A pipeline of three programs, and one beside it in the background.
sleep 100000 &
perl -e '$| = 1; for (my $r = 1; !-e "${stop}"; $r++) { print "$r\\n"; select(undef, undef, undef, 0.4) }' |
  while read -r n; do echo $((n * 3)); done | perl -ne '$| = 1; $s += $_; print "$. $s\\n"; END { print "done\\n" }'
status=$?
kill $!
exit $status
`,
    command: `sh ${files}/pipeline.sh`,
    lines: () => (round) => `${round} ${(3 * round * (round + 1)) / 2}`,
  },
  {
    name: 'forks',
    file: 'forks.pl',
    text: `# A tree of processes each round, whose statuses are added up; and children that stay, and answer over pipes.
$| = 1; my @stay;
for my $n (1 .. 2) {
  pipe(my $down, my $to); pipe(my $from, my $up);
  if (!fork) { close $to; close $from; close $_ for map { @$_ } @stay; select($up); $| = 1; while (my $line = <$down>) { print $line * $n, "\\n" } exit 0 }
  close $down; close $up; select($to); $| = 1; select(STDOUT); push @stay, [$to, $from];
}
for (my $r = 1; !-e "${stop}"; $r++) {
  my ($sum, %kids) = (0);
  for my $n (1 .. 2) {
    my $pid = fork; die "fork: $!" if !defined $pid;
    if (!$pid) { my $grand = fork; if (!$grand) { select(undef, undef, undef, 0.1); exit $n } 1 while waitpid($grand, 0) < 0; exit($? >> 8 | 16) }
    $kids{$pid} = 1;
  }
  while (%kids) { my $pid = wait; next if !delete $kids{$pid}; $sum += $? >> 8 }
  for (@stay) { my ($to, $from) = @$_; print $to "$r\\n"; $sum += <$from> }
  print "$r $sum\\n"; select(undef, undef, undef, 0.6);
}
close $_->[0] for @stay; 1 while wait > 0;
print "done\\n";
`,
    command: `perl ${files}/forks.pl`,
    lines: () => (round) => `${round} ${17 + 18 + 3 * round}`,
  },
  {
    name: 'threads',
    file: 'threads.mjs',
    text: `// Two threads that add to the same memory and answer messages.
import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
const shared = new SharedArrayBuffer(4);
const count = new Int32Array(shared);
const code = \`const { parentPort, workerData } = require('node:worker_threads'); const c = new Int32Array(workerData);
parentPort.on('message', (n) => { for (let i = 0; i < 1000; i++) Atomics.add(c, 0, 1); parentPort.postMessage(n * 2); });\`;
const workers = [1, 2].map(() => new Worker(code, { eval: true, workerData: shared, resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 1 } }));
const ask = (worker, n) => new Promise((answer) => { worker.once('message', answer); worker.postMessage(n); });
for (let r = 1; !existsSync('${stop}'); r++) {
  const answers = await Promise.all(workers.map((worker) => ask(worker, r)));
  console.log(\`\${r} \${answers[0] + answers[1]} \${Atomics.load(count, 0)}\`);
  await setTimeout(500);
}
console.log('done');
for (const worker of workers) await worker.terminate();
`,
    command: `node --max-semi-space-size=1 ${files}/threads.mjs`,
    lines: () => (round) => `${round} ${4 * round} ${2000 * round}`,
  },
  {
    name: 'input',
    file: 'input.pl',
    text: `# Stays at home and speaks to a cat that moves.
$| = 1; for (my $r = 1; !-e "${stop}"; $r++) { print "$r of what is said\\n"; select(undef, undef, undef, 0.3) }
print "done\\n";
`,
    command: 'cat',
    input: `perl ${files}/input.pl`,
    lines: () => (round) => `${round} of what is said`,
  },
];

/** Where output first differs from what it must be, or how many rounds it has. */
export function roundsOf({ name, lines }: TortureProgram, output: string): number {
  const all = output.split('\n');
  if (all.pop() !== '' || all.pop() !== 'done') throw new Error(`${name}: does not end with done: ${output.slice(-200)}`);
  const line = lines();
  for (const [index, said] of all.entries()) {
    const expected = line(index + 1);
    if (said !== expected) throw new Error(`${name}: line ${index + 1} is "${said.slice(0, 200)}", not "${expected}"`);
  }
  return all.length;
}

/** Starts all of them on n1, in the background: the number of each one's deputy in NAME.pid, how it ended in NAME.status. */
export const beginScript: string = `rm -rf /home/torture; mkdir -p /home/torture && cd /home/torture || exit 1
${torturePrograms
  .map(({ name, command, input }) => {
    const feed = input === undefined ? '' : `${input} | `;
    return `(${feed}sh -c 'echo $$ > ${name}.pid; exec mosrun -L ${command}' > ${name}.out 2> ${name}.err; echo $? > ${name}.status) < /dev/null > /dev/null 2>&1 & sleep 1`;
  })
  .join('\n')}
for name in ${torturePrograms.map(({ name }) => name).join(' ')}; do
  until pid=$(cat $name.pid) && [ -e /hpc/jobs/$pid/where ]; do sleep 1; done
done
`;

/** Carries out the plan: a line a move, the program and 1 or 2 nodes further. Into /home/torture/moves: which, from, to, status, seconds, what was said. */
export const moveScript: string = `cd /home/torture || exit 1
while read -r name step; do
  pid=$(cat $name.pid)
  at=$(cat /hpc/jobs/$pid/where) || continue
  [ "$at" != 0 ] || at=1
  to=$(( (at - 1 + step) % 3 + 1 ))
  began=$(date +%s)
  said=$(migrate $pid $to 2>&1)
  status=$?
  echo "$name $at $to $status $(($(date +%s) - began)) $(echo $said)" >> moves
done < /home/torture/plan
echo over >> moves
`;
