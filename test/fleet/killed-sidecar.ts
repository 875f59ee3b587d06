import { join } from 'node:path';
import { RecordShipper } from '../../src/sidecar/records/record-shipper.ts';
import { LogPages } from '../../src/core/ledger/log/log-pages.ts';
import { Unacknowledged } from '../../src/core/ledger/unacknowledged.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { after } from '../../src/core/runtime/timers.ts';
import { addRecords, sidecarLog } from '../authority/records/receivers.ts';
import { appendCalls } from './append-servers.ts';

// A sidecar that writes records and sends them to an authority until it is killed.

const [folder = '', address = ''] = process.argv.slice(2);
const log = sidecarLog(folder, 5);
const shipper = new RecordShipper({
  ...appendCalls(address),
  log,
  pages: new LogPages(join(folder, 'ledger')),
  unacknowledged: new Unacknowledged(),
  ports: systemPorts,
  after,
  onFault: () => undefined,
});
shipper.start();
process.stdout.write(`${log.origin}\n`);
setInterval(() => {
  addRecords(log, { from: log.size + 1, to: log.size + 3 });
  shipper.pump();
}, 5);
