import { isStoreFailure } from '../../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../../core/runtime/store-failure.ts';
import { noHistory } from '../../../../core/task/history.ts';
import type { TaskHistory } from '../../../../core/task/history.ts';
import type { IssuedTokenState } from '../../../../core/task/issued-token.ts';
import type { Task } from '../../../../core/task/task.ts';
import { pastDeadline } from '../../../../core/state/writes/task-row.ts';
import { isStorable } from '../../../../core/state/writes/stored-text.ts';
import type { TaskKey } from '../../../../core/state/store.ts';
import type { Database } from '../database.ts';
import { HEAD_COLUMNS, headFrom } from '../feed-head.ts';
import type { FeedHead } from '../feed-head.ts';
import type { RowReader } from './row-seal.ts';
import { historyFromRow, issuedOf } from './rows-read.ts';

/** A task with those of its tokens that are asked for. */
export interface AskedCard {
  readonly key: TaskKey;
  readonly jtiDigests: readonly string[];
}

/** A task with its history, and the tokens asked for that it has. */
export interface TaskCard {
  readonly task: Task;
  /** Id of the root task. */
  readonly root: string;
  readonly tokens: readonly IssuedTokenState[];
  readonly history: TaskHistory;
}

/** Cards as of a head of the feed, in the order asked for; `null` if there is no such task. */
export interface CardsAtHead {
  readonly head: FeedHead;
  readonly cards: readonly (TaskCard | null)[];
}

/** A single statement, and so a single snapshot: the head counts every commit that the cards show, and no other. */
const CARDS = `SELECT ${HEAD_COLUMNS}, to_json(t) AS task, to_json(y) AS history,
    (SELECT coalesce(json_agg(o), '[]') FROM remit.tokens o WHERE o.issuer = t.issuer AND o.task = t.id
      AND o.jti_digest IN (SELECT json_array_elements_text(k.digests))) AS tokens
  FROM remit.feed_head h
  LEFT JOIN unnest($1::text[], $2::text[], $3::json[]) WITH ORDINALITY k (issuer, id, digests, n) ON true
  LEFT JOIN remit.tasks t ON t.issuer = k.issuer AND t.id = k.id
  LEFT JOIN remit.histories y ON y.issuer = t.issuer AND y.task = t.root
  WHERE h.part = 0 ORDER BY k.n`;

/** The cards of tasks, from a single snapshot of the primary. Text that is never stored names no task and no token. */
export async function cardsOf(
  { database, rows }: { readonly database: Database; readonly rows: RowReader },
  asked: readonly AskedCard[],
): Promise<CardsAtHead | StoreFailure> {
  const result = await database.read(CARDS, [
    asked.map(({ key }) => storable(key.issuer)),
    asked.map(({ key }) => storable(key.id)),
    asked.map(({ jtiDigests }) => JSON.stringify(jtiDigests.filter(isStorable))),
  ]);
  if (isStoreFailure(result)) return result;
  const head = headFrom(result.rows[0]);
  return { head, cards: asked.length === 0 ? [] : result.rows.map((row) => cardFrom(row, rows)) };
}

const storable = (text: string): string => (isStorable(text) ? text : '');

type Row = Readonly<Record<string, unknown>>;

function cardFrom({ task, tokens, history }: Row, { taskIn, tokenIn }: RowReader): TaskCard | null {
  // JSON of rows.
  const rooted = task === null ? null : taskIn(task as Row);
  if (rooted === null) return null;
  const stored = history === null ? noHistory : historyFromRow(history as Row);
  return {
    task: stored === null ? pastDeadline(rooted.task) : rooted.task,
    root: rooted.root,
    tokens: (tokens as readonly Row[]).flatMap((row) => {
      const token = tokenIn(row);
      return token === null ? [] : [issuedOf(token)];
    }),
    history: stored ?? noHistory,
  };
}
