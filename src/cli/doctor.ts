// farm doctor: what would keep nodes from booting, before they try.
import { Command } from 'commander';
import { loadFarm } from '../farm/config.ts';
import { diagnose } from '../farm/doctor.ts';
import { gatherFacts } from '../farm/doctor-facts.ts';
import { farmDirectory, table } from './options.ts';
import { fetchStatus } from './status.ts';

const marks = { ok: 'ok', warn: 'warn', bad: 'BAD' } as const;

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('look for what would keep nodes from booting: cards, ports, other DHCP servers, firewall, images, space, key, clock')
    .option('--json', 'for programs')
    .action(async (options: { json?: boolean }, command: Command) => {
      const directory = farmDirectory(command);
      const farm = loadFarm(directory);
      const { serving } = await fetchStatus(directory);
      const findings = diagnose(farm, await gatherFacts(farm, serving, process.getuid?.() === 0));
      if (options.json === true) console.log(JSON.stringify(findings, undefined, 2));
      else {
        process.stdout.write(table(findings.map(({ check, state, says }) => [marks[state], check, says])));
        const remedies = findings.flatMap(({ check, remedy }) => (remedy === undefined ? [] : [`  ${check}: ${remedy}\n`]));
        if (remedies.length > 0) process.stdout.write(`\nto do:\n${remedies.join('')}`);
      }
      if (findings.some(({ state }) => state === 'bad')) process.exitCode = 1;
    });
}
