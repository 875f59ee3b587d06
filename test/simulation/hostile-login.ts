import type { Task } from '../../src/core/task/task.ts';
import { isOpen } from '../../src/core/task/task.ts';
import { DatabaseClient } from './database-client.ts';
import type { Rows, Write } from './database-node.ts';
import type { Done } from './database.ts';
import type { Mistake } from './mistakes.ts';
import { Party } from './party.ts';
import { newTask, newToken, rootOf } from './rows.ts';
import { sealOfTask, sealOfToken, taskRowAt } from './sealed-rows.ts';
import type { TaskRow, TokenRow } from './sealed-rows.ts';
import type { HeldByAgent } from './sidecar.ts';
import type { World } from './world.ts';

const ATTACKS = ['declare', 'issue', 'resume', 'put back'] as const;
type Attack = (typeof ATTACKS)[number];

/** Somebody who has the login of the authorities at the database, and none of their keys: reads all rows, and writes what triggers let through. */
export class HostileLogin {
  readonly #world: World;
  readonly #party: Party;
  readonly #database: DatabaseClient;
  /** Rows of tasks that were copied, to be put back later. */
  readonly #copies: TaskRow[] = [];
  #attacks = 0;

  constructor(world: World) {
    this.#world = world;
    this.#party = new Party('hostile', world);
    this.#database = new DatabaseClient(this.#party, world.database);
    this.#party.every(40, () => this.#attack());
  }

  end(): void {
    this.#party.end();
  }

  #attack(): void {
    const { mistake, promise, random } = this.#world;
    const attack = random.pick(ATTACKS) ?? 'declare';
    this.#attacks += 1;
    const digest = `hostile-${this.#party.monotonicMs()}-${this.#attacks}`;
    const copy = random.pick(this.#copies);
    promise.forged(digest);
    this.#database.read(tasksIn, (seen) => {
      if (seen !== null) this.#copies.push(...seen);
      const target = random.pick(seen ?? []);
      if (target === undefined) return;
      const { id } = attack === 'put back' ? (copy ?? target).task : target.task;
      this.#database.commit(
        { locks: [`root:${rootOf(id)}`], run: (rows) => attacked(rows, { attack, copy, digest, id, mistake }) },
        (outcome) => {
          if (typeof outcome !== 'string' && outcome.result !== null) this.#use(outcome.result);
        },
      );
    });
  }

  /** The token that was written, and those there are, at all sidecars. */
  #use(token: HeldByAgent): void {
    const { sidecars, random, schedule } = this.#world;
    for (const { now } of sidecars)
      for (const jtiDigest of [token.jtiDigest, `${token.taskId}/0`])
        schedule.after(
          random.between(0, 200),
          () => now.use({ ...token, jtiDigest, kind: random.pick(['plain', 'call'] as const) ?? 'plain' }),
          now.party,
        );
  }
}

const tasksIn = (rows: Rows): readonly TaskRow[] =>
  [...rows].filter(([name]) => name.startsWith('task:')).map(([, row]) => row as TaskRow);

/** What an attack writes; `null` where the database refuses it. Gives the token to use. */
function attacked(
  rows: Rows,
  {
    attack,
    copy,
    digest,
    id,
    mistake,
  }: {
    readonly attack: Attack;
    readonly copy: TaskRow | undefined;
    readonly digest: string;
    readonly id: string;
    readonly mistake: Mistake | null;
  },
): Done<HeldByAgent | null> {
  const before = taskRowAt(rows, id);
  const refused = { result: null, writes: [], changes: [] };
  if (before === undefined) return refused;
  // The seal of another row is the best that there is, unless the key of seals is in the database.
  const isKeyKnown = mistake === 'seal-key-in-database';
  const sealed = (row: Omit<TaskRow, 'seal'>): TaskRow => ({
    ...row,
    seal: isKeyKnown ? sealOfTask(row) : before.seal,
  });
  const revision = before.revision + 1;
  const row = ((): TaskRow => {
    switch (attack) {
      case 'declare':
        return sealed({ task: newTask(`hostile-${digest}`, null), root: `hostile-${digest}`, revision: 1 });
      case 'issue':
        return before;
      case 'resume':
        return sealed({ ...before, task: resumed(before.task), revision });
      case 'put back':
        return copy ?? before;
      default:
        return attack satisfies never;
    }
  })();
  const isNew = taskRowAt(rows, row.task.id) === undefined;
  if (row !== before && !isNew && mistake !== 'rows-go-back' && !goesForward(before, row)) return refused;
  const { generation } = row.task;
  const token = { token: { ...newToken(id, { number: 0, generation }), jtiDigest: digest }, task: row.task };
  const written: TokenRow = { ...token, seal: isKeyKnown ? sealOfToken(token) : before.seal };
  const writes: Write[] = [
    [`task:${row.task.id}`, row],
    [`token:${digest}`, written],
  ];
  return {
    result: { taskId: row.task.id, jtiDigest: digest, generation },
    writes,
    changes: [{ root: rootOf(row.task.id), part: 'task' }],
  };
}

const resumed = (task: Task): Task => ({
  ...task,
  state: 'active',
  endedAtMs: null,
  cause: null,
  risk: 'low',
  generation: task.generation + 1,
});

/** What triggers let a row become: an ended one does not change, and revisions only rise. */
const goesForward = (before: TaskRow, after: TaskRow): boolean =>
  isOpen(before.task.state) && after.revision > before.revision;
