// A criu that breaks when the test says so: a script in its place on every node, which does what /run/fault says, once, and then what criu does.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `KIND ACTION` in /run/fault; /run/criu-version has another version. `wait`: says so on the console, and gives the test time to do something. */
const script = `#!/bin/sh
if [ "$1" = --version ] && [ -e /run/criu-version ]; then
  echo "Version: $(cat /run/criu-version)"
  exit 0
fi
if [ -e /run/fault ] && read -r kind action < /run/fault && [ "$kind" = "$1" ]; then
  rm /run/fault
  echo "$kind $action" >> /run/faults
  case $action in
  fail)
    while [ "$#" -gt 0 ]; do [ "$1" != -D ] || directory=$2; shift; done
    echo '(00.001) Error (criu/test.c:1): it breaks here' > "$directory/criu.log"
    exit 1 ;;
  kill) systemctl kill -s KILL --kill-whom=main farm-agent ;;
  late) (sleep 1; exec systemctl kill -s KILL --kill-whom=main farm-agent) & sleep 0.8 ;;
  wait) echo "criu waits: $kind" > /dev/ttyS0; sleep 6 ;;
  esac
fi
exec /usr/sbin/criu.real "$@"
`;

const real = fileURLToPath(new URL('../../.farm/images/debian-13/current/root/usr/sbin/criu', import.meta.url));

/** For `startThreeNodes`, once the image is built. */
export function breakingCriu(): Readonly<Record<string, string | Buffer>> {
  return { [join('usr', 'sbin', 'criu')]: script, [join('usr', 'sbin', 'criu.real')]: readFileSync(real) };
}
