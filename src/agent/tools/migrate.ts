// migrate: asks for one process to be moved. Until migration exists it says what was asked and why it is refused. openMosix migrate(1).
import { existsSync } from 'node:fs';
import { FarmError } from '../../base/errors.ts';
import { allNodes, findNode, selfNode } from './hpc.ts';
import { migrationAbsent, misuse, type Tool } from './tool.ts';

export const usage = 'migrate PID ID|IP|NAME|home|balance';

export const migrate: Tool = (args, { hpc }) => {
  const [pid = '', to = ''] = args;
  if (args.length !== 2 || !/^[1-9]\d{0,9}$/.test(pid)) throw misuse('name one process and one place', usage);
  selfNode(hpc);
  const place = to === 'home' || to === 'balance' ? to : `node ${findNode(allNodes(hpc), to).id}`;
  if (!existsSync(`/proc/${pid}`)) throw new FarmError('process.unknown', `there is no process ${pid}`, 'mps ax lists them');
  throw migrationAbsent(`process ${pid} does not go to ${place}`);
};
