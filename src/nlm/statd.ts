// The procedures of our status monitor: clients say that they restarted; it monitors nobody for others. C702 12.
import type { Body } from '../rpc/message.ts';
import { nullProcedure, type Procedure, type Program, voidBody } from '../rpc/program.ts';
import { nsmProcedures, nsmProgram, nsmVersion, readInformed, readMonitored, readMonitoring, readName, readStateChange, writeMonitorResult } from './nsm.ts';
import type { LockService } from './service.ts';

export function statd(service: LockService): Program {
  const table: Procedure[] = [nullProcedure];
  const define = (name: keyof typeof nsmProcedures, run: Procedure['run']) => {
    table[nsmProcedures[name]] = { name, once: false, run };
  };
  const refused: Body = { encode: (writer) => writeMonitorResult(writer, { accepted: false, state: service.state }) };
  const state: Body = { encode: (writer) => writer.u32(service.state) };

  define('STAT', (_caller, args) => {
    readName(args);
    return refused;
  });
  define('MON', (_caller, args) => {
    readMonitoring(args);
    return refused;
  });
  define('UNMON', (_caller, args) => {
    readMonitored(args);
    return state;
  });
  define('UNMON_ALL', (_caller, args) => {
    readInformed(args);
    return state;
  });
  // It has no result. Whoever could have the server forget all locks by one datagram would be no test but an attack.
  define('SIMU_CRASH', () => voidBody);
  define('NOTIFY', ({ client }, args) => {
    // Whatever name it gives itself: nobody but the client frees what came from its address.
    service.restarted(client, readStateChange(args).state);
    return voidBody;
  });
  return { number: nsmProgram, versions: new Map([[nsmVersion, table]]) };
}
