import { writeSync } from 'node:fs';
import { startBench } from './bench.ts';

/** Runs an issuer with a client until it is killed: requests tokens, completes every second task, prints acknowledgements. */
const bench = await startBench(process.argv[2] ?? '');
for (let n = 0; ; n++) {
  const issued = await bench.token();
  const id = String(issued.json['txn']);
  writeSync(1, `${id} active\n`);
  if (n % 2 === 0) continue;
  const ended = await bench.ask(`/tasks/${id}/complete`, { method: 'POST' });
  if (ended.status === 200) writeSync(1, `${id} completed\n`);
}
