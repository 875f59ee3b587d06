import { writeSync } from 'node:fs';
import { allowedUse } from '../../../builders/ledger-record.ts';
import { agreeing } from '../../../builders/state-file.ts';
import { taskNumber } from '../../../builders/task.ts';
import { implementations } from './implementations.ts';

/**
 * `killed-settler.ts IMPLEMENTATION FILE FIRST`: settles uses of task 1, each with its record, under the decisions `decision-N`, from number FIRST on, seven at a
 * time, until it is killed or one fails. Prints `opened PID`, and the number of each use once it is acknowledged.
 */
const [implementation = '', file = '', first = '1'] = process.argv.slice(2);
const say = (line: string): void => void writeSync(1, `${line}\n`);
const open = implementations[implementation];
if (open === undefined) throw new Error(`no implementation ${implementation}`);
const { settling } = await open(file, agreeing());
say(`opened ${process.pid}`);
for (let n = Number(first); ; n += 7) {
  const numbers = Array.from({ length: 7 }, (_, index) => n + index);
  const settle = async (number: number): Promise<void> => {
    const settlement = await settling.settle({
      decisionId: `decision-${number}`,
      key: taskNumber(1),
      jtiDigest: 'digest-1',
      spends: [{ kind: 'calls', limit: 1_000_000 }],
      record: allowedUse(1, number, 'allow', `decision-${number}`),
    });
    say(settlement === null ? String(number) : `failed ${JSON.stringify(settlement)}`);
    if (settlement !== null) process.exitCode = 1;
  };
  await Promise.all(numbers.map(settle));
  if (process.exitCode === 1) process.exit();
}
