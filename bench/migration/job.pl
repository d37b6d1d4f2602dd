# A job for the benchmark: so many MiB of memory, random or of hex digits, of which it writes so many MB/s anew, page after page. Says how fast it really was.
use strict;
use warnings;

# perl-base has no Time::HiRes: clock_gettime(2), CLOCK_MONOTONIC, which goes on with the job; x86-64.
sub now { my $time = pack 'qq', 0, 0; syscall 228, 1, $time; my ($s, $ns) = unpack 'qq', $time; return $s + $ns / 1e9; }

my ($mebibytes, $kind, $rate, $progress) = @ARGV;
my $block = 2**20;
my $size = $mebibytes * $block;
open my $source, '<', '/dev/urandom' or die $!;
read $source, my $pattern, $kind eq 'hex' ? $block / 2 : $block;
$pattern = unpack 'H*', $pattern if $kind eq 'hex';
my $memory = '';
vec($memory, $size - 1, 8) = 1;
substr($memory, $_ * $block, $block, $pattern) for 0 .. $mebibytes - 1;

sub say_so {
  open my $file, '>', "$progress.new" or die $!;
  print $file @_, "\n";
  close $file;
  rename "$progress.new", $progress;
}

my $piece = 64 * 1024;
my ($at, $written, $began) = (0, 0, now);
my ($all, $told, $since) = (0, 0, now);
say_so("ready $$");
for (;;) {
  # What a pause has cost is not made up for: it would be written at once when the job goes on.
  my $now = now;
  my $due = $rate * 1e6 * ($now - $began);
  if ($due > $written + $rate * 1e6) { $began = $now - $written / ($rate * 1e6) if $rate > 0; $due = $written; }
  while ($written < $due) {
    my $from = int(rand(($block - $piece) / 2));
    substr($memory, $at, $piece, substr($pattern, $from, $piece));
    $at = ($at + $piece) % $size;
    $written += $piece;
    $all += $piece;
  }
  select undef, undef, undef, 0.05;
  next if $told || $now < $since + 3;
  $told = 1;
  say_so(sprintf 'rate %.1f', $all / ($now - $since) / 1e6);
}
