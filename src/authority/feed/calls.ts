import { status } from '@grpc/grpc-js';
import type { AuthorityCalls, Card, TaskKeyMessage, TokenMessage, UseMessage } from '../../core/fleet/messages.ts';
import { limitSpendFrom, overMessage } from '../../core/fleet/limit-message.ts';
import type { LimitSpend } from '../../core/limit/limit-spend.ts';
import type { Limit } from '../../core/limit/limit.ts';
import { elsewhereMessage } from '../../core/fleet/token-uses.ts';
import type { EncodedRecord } from '../../core/ledger/encoded-record.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import { usesElsewhere } from '../../core/state/reported-uses.ts';
import { isSettlement } from '../../core/state/settling.ts';
import type { SettledUse, Settlement } from '../../core/state/settling.ts';
import type { Spend } from '../../core/state/spend.ts';
import type { UnsentUse } from '../../core/state/store.ts';
import { limitSpendsOf, taskSpendsOf } from '../../core/state/writes/settlement.ts';
import type { SidecarRights } from './authorize.ts';
import type { PeerLimits } from './client-limits.ts';
import type { AuthorityEngine } from './engine.ts';
import { streamIdOf } from './hub/follower.ts';
import type { Followers } from './hub/followers.ts';
import { permittedCard } from './hub/permitted-card.ts';
import type { ReceivedRecords } from './received-records.ts';
import { ownEffect } from './own-effect.ts';
import { budgetedSpends } from './task-budgets.ts';
import { useRecordFrom } from './use-record.ts';

type OpenRequest = AuthorityCalls['Open'][0];
type OpenReply = AuthorityCalls['Open'][1];
type SettleRequest = AuthorityCalls['Settle'][0];
type SettleReply = AuthorityCalls['Settle'][1];
type GiveBackReply = AuthorityCalls['GiveBack'][1];

/** Why a call fails, as a gRPC status. */
export interface CallRefusal {
  readonly code: status;
  readonly details: string;
}

/** Most times that the cards of an open are read: again each time that the feed changed meanwhile. */
const MAX_READINGS = 8;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Options of the calls. */
interface SidecarCallsOptions {
  readonly engine: AuthorityEngine;
  readonly epoch: string;
  /** What receives the logs of sidecars; without it a record that comes with a use is refused. */
  readonly records: ReceivedRecords | null;
  readonly limits: PeerLimits;
  /** `AuthorityParts.taskLimits`. */
  readonly taskLimits: () => readonly Limit[];
}

/** The calls of sidecars besides their streams. */
export class SidecarCalls {
  readonly #engine: AuthorityEngine;
  readonly #epoch: string;
  readonly #records: ReceivedRecords | null;
  readonly #followers: Followers;
  readonly #limits: PeerLimits;
  readonly #taskLimits: () => readonly Limit[];

  constructor(followers: Followers, { engine, epoch, records, limits, taskLimits }: SidecarCallsOptions) {
    this.#followers = followers;
    this.#engine = engine;
    this.#epoch = epoch;
    this.#records = records;
    this.#limits = limits;
    this.#taskLimits = taskLimits;
  }

  /**
   * The cards of tokens. The sidecar is a holder of their tasks before they are sent, so it needs a stream here.
   * @param isConfirmed whether the cards are read after a synced commit that begins now
   */
  async open(
    { instance, tokens, n }: OpenRequest,
    rights: SidecarRights,
    { isConfirmed }: { readonly isConfirmed: boolean },
  ): Promise<OpenReply | CallRefusal> {
    const { hub } = this.#followers;
    const id = streamIdOf(rights, instance);
    const limits = id === null ? undefined : this.#followers.limitsOf(id);
    if (id === null || limits === undefined) return noStream();
    if (!tokens.every(({ key, jti_digest }) => isKey(key) && isText(jti_digest))) return invalid('a token has no key');
    if (!limits.opens.take(tokens.length)) return tooMany('too many opens');
    if (isConfirmed && isStoreFailure(await this.#engine.beat())) return unavailable();
    const noting = hub.noting(id, tokens, n);
    if (noting !== 'ok') return noting === 'full' ? tooMany('the sidecar holds too many cards') : noStream();
    for (let reading = 0; reading < MAX_READINGS; reading += 1) {
      const read = await this.#engine.cards(tokens.map(({ key, jti_digest }) => ({ key, jtiDigests: [jti_digest] })));
      if (isStoreFailure(read)) return unavailable();
      const cards = read.cards.map((held) => permittedCard(held, rights));
      const opened = tokens.map((token, at) => ({ token, root: cards[at]?.root ?? null }));
      const noted = hub.noted(id, opened, { n, seq: read.seq });
      if (noted === 'unknown') return noStream();
      if (noted === 'ok') {
        const opened = await this.#withElsewhere(cards);
        if (isStoreFailure(opened)) return unavailable();
        return { position: { epoch: this.#epoch, seq: read.seq, mark: '' }, opened: opened.map((card) => ({ card })) };
      }
    }
    return unavailable();
  }

  /** Settles uses, in their order. */
  async settle({ uses }: SettleRequest, rights: SidecarRights): Promise<SettleReply | CallRefusal> {
    const { halted } = this.#followers;
    if (halted !== null) return { code: status.FAILED_PRECONDITION, details: halted };
    const limits = this.#limits.of(rights.peer);
    if (!limits.uses.take(uses.length)) return tooMany('too many uses');
    const bytes = uses.reduce((sum, { record }) => sum + record.length, 0);
    if (bytes > 0 && !limits.recordBytes.take(bytes)) return tooMany('too many bytes of records');
    const read = uses.map((use) => this.#usedFrom(use, rights));
    const wrong = read.find((use) => typeof use === 'string');
    if (typeof wrong === 'string') return invalid(wrong);
    const valid = read.filter((use) => typeof use !== 'string');
    const settled = valid.map((use) => ('spends' in use ? this.#settled(use, rights) : this.#kept(use)));
    return { settled: await Promise.all(settled) };
  }

  /** Gives back what uses took whose calls were not sent, for the identity that had them settled. */
  async giveBack({ uses }: SettleRequest, rights: SidecarRights): Promise<GiveBackReply | CallRefusal> {
    const { halted } = this.#followers;
    if (halted !== null) return { code: status.FAILED_PRECONDITION, details: halted };
    if (!this.#limits.of(rights.peer).uses.take(uses.length)) return tooMany('too many uses');
    const read = uses.map(usedFrom);
    const wrong = read.find((use) => typeof use === 'string');
    if (typeof wrong === 'string') return invalid(wrong);
    const valid = read.filter((use) => typeof use !== 'string');
    return { uses: await Promise.all(valid.map((use) => this.#givenBack(use, rights))) };
  }

  async #givenBack(use: UnsentUse, rights: SidecarRights): Promise<GiveBackReply['uses'][number]> {
    if (use.key !== null) {
      const read = await this.#engine.cards([{ key: use.key, jtiDigests: [use.jtiDigest] }]);
      if (isStoreFailure(read)) return { problem: 'unavailable' };
      // Nothing is locked for a sidecar that may not see the task.
      if (!read.cards[0] || permittedCard(read.cards[0], rights) === null) return { problem: 'not-taken' };
    }
    const given = await this.#engine.settling.giveBack({ ...use, by: rights.peer });
    if (isStoreFailure(given)) return { problem: 'unavailable' };
    return { problem: given ? '' : 'not-taken' };
  }

  /** The use of a message, with its record if it has one; or what is wrong with either. */
  #usedFrom(message: UseMessage, { peer }: SidecarRights): SettledUse | KeptUse | string {
    const use = isRecordOnly(message) ? null : usedFrom(message);
    if (typeof use === 'string') return use;
    if (use !== null && message.record.length === 0) return use;
    const { decision_id: decisionId } = message;
    if (!UUID.test(decisionId)) return NO_UUID;
    const of = { decisionId, task: use?.key?.id ?? null, jtiDigest: use?.key ? use.jtiDigest : null };
    const record = useRecordFrom(message.record, of, { peer, records: this.#records });
    if (isProblem(record)) return `the record of use \`${decisionId}\` is refused: ${record.problem}`;
    return use === null ? { decisionId, record } : { ...use, record };
  }

  async #kept({ decisionId, record }: KeptUse): Promise<SettleReply['settled'][number]> {
    const failure = await this.#engine.keepRecord(decisionId, record);
    return failure === null ? SETTLED : unsettled('unavailable', failure.code);
  }

  async #settled(use: SettledUse, rights: SidecarRights): Promise<SettleReply['settled'][number]> {
    const { key } = use;
    if (key === null) return this.#settledWithoutTask(use, rights);
    const wanted = [{ key, jtiDigests: [use.jtiDigest] }];
    const before = await this.#engine.cards(wanted);
    if (isStoreFailure(before)) return unsettled('unavailable', before.detail);
    const [held] = before.cards;
    if (!held || permittedCard(held, rights) === null) return unsettled('ended', 'there is no such task');
    const isLoan = use.ahead !== undefined;
    const budgets = budgetedSpends(taskSpendsOf(use.spends), held.task.detailsJson, { isLoan });
    if (budgets === null) return unsettled('exhausted', 'the task has no such budget');
    // The agent is that of the task in the authority's state, so that a sidecar cannot get another agent stopped.
    const { agent, subject: user } = held.task;
    const spends = [...budgets, ...this.#limitSpends(use, { agent, user })];
    const settlement: Settlement = await this.#engine.settling.settle({
      ...use,
      spends,
      agent,
      by: rights.peer,
    });
    const reply = settledReply(settlement);
    if (reply.problem === '' || reply.problem === 'unavailable') return reply;
    const after = await this.#engine.cards(wanted);
    if (isStoreFailure(after)) return reply;
    const card = permittedCard(after.cards[0], rights);
    return { ...reply, card, position: { epoch: this.#epoch, seq: after.seq, mark: '' } };
  }

  async #settledWithoutTask(use: SettledUse, rights: SidecarRights): Promise<SettleReply['settled'][number]> {
    const spends = this.#limitSpends(use, { agent: use.agent ?? '', user: null });
    return settledReply(await this.#engine.settling.settle({ ...use, spends, by: rights.peer }));
  }

  /** What is taken from limits. The amount and the maximum are those of the sidecar, which can only weaken the effect to `deny`. */
  #limitSpends({ spends }: SettledUse, of: Parameters<typeof ownEffect>[2]): readonly LimitSpend[] {
    const limits = this.#taskLimits();
    return limitSpendsOf(spends).map((spend) => withEffect(spend, ownEffect(limits, spend, of)));
  }

  /** The cards, completed with where their tokens were used before. */
  async #withElsewhere(cards: readonly (Card | null)[]): Promise<readonly (Card | null)[] | StoreFailure> {
    const digests = cards.flatMap((card) => card?.tokens.map(({ jti_digest }) => jti_digest) ?? []);
    if (digests.length === 0) return cards;
    const reports = await this.#engine.reportedUses(digests);
    if (isStoreFailure(reports)) return reports;
    const byToken = new Map(digests.map((digest, at) => [digest, usesElsewhere(reports[at] ?? [])]));
    const withUses = (token: TokenMessage): TokenMessage => {
      const uses = byToken.get(token.jti_digest) ?? null;
      return uses === null ? token : { ...token, elsewhere: elsewhereMessage(uses) };
    };
    return cards.map((card) => (card === null ? null : { ...card, tokens: card.tokens.map(withUses) }));
  }
}

/** A use without a task, of which only the record is kept. */
interface KeptUse {
  readonly decisionId: string;
  readonly record: EncodedRecord;
}

const isRecordOnly = ({ key, jti_digest, spends, entry, record }: UseMessage): boolean =>
  key === null && jti_digest === '' && spends.length === 0 && entry === null && record.length > 0;

/** The use of a message; what is wrong with it. */
function usedFrom(message: UseMessage): (SettledUse & Pick<UnsentUse, 'left' | 'before'>) | string {
  const { agent = '', decision_id, key, jti_digest, spends, entry, ahead = [], left = [], before = 0 } = message;
  if (!UUID.test(decision_id)) return NO_UUID;
  const taken = spends.map(spendFrom);
  const wrong = taken.find((spend) => spend === null);
  if (wrong === null) return 'a use takes something unknown';
  if (![0, spends.length].includes(ahead.length) || ![0, spends.length].includes(left.length))
    return 'a use wants or gives back more than it has spends';
  // `ahead` has the order of the spends, which `#settled` would change for a mix of budgets and limits.
  if (ahead.length > 0 && key !== null && spends.some(({ kind }) => kind === 'limit'))
    return 'a loan is of a task or of limits';
  const use = {
    decisionId: decision_id,
    spends: taken.flatMap((spend) => spend ?? []),
    ...(agent === '' ? {} : { agent }),
    ...(ahead.length === 0 ? {} : { ahead: [...ahead] }),
    ...(left.length === 0 ? {} : { left: [...left] }),
    ...(before === 0 ? {} : { before }),
  };
  if (key === null && jti_digest === '') {
    const isOfLimits = entry === null && spends.length > 0 && spends.every(({ kind }) => kind === 'limit');
    return isOfLimits ? { ...use, key: null, jtiDigest: '' } : 'a use has no task or token';
  }
  if (!isKey(key) || !isText(jti_digest)) return 'a use has no task or token';
  return {
    ...use,
    key: { issuer: key.issuer, id: key.id },
    jtiDigest: jti_digest,
    ...(entry === null ? {} : { entry: { version: entry.version, action: entry.action, labels: [...entry.labels] } }),
  };
}

function spendFrom(spend: UseMessage['spends'][number]): Spend | null {
  const { kind, name, amount, limit } = spend;
  switch (kind) {
    case 'limit':
      return limitSpendFrom(spend);
    case 'calls':
      return { kind, name, count: amount, limit };
    case 'amount':
    case 'decimal':
      return { kind, name, amount, limit };
    case 'single-use':
      return { kind, name };
    default:
      return null;
  }
}

/** The keys of messages may be absent. */
const isKey = (key: TaskKeyMessage | null): key is TaskKeyMessage =>
  key !== null && isText(key.issuer) && isText(key.id);
const isText = (text: string): boolean => text.length > 0;

const NO_UUID = 'the id of a decision must be a UUID';
const SETTLED: SettleReply['settled'][number] = { problem: '', detail: '', card: null, position: null };

const withEffect = (spend: LimitSpend, effect: LimitSpend['effect']): LimitSpend => ({ ...spend, effect });

/** The reply to a settlement, without the state after it. */
function settledReply(settlement: Settlement): SettleReply['settled'][number] {
  if (isSettlement(settlement)) return { ...SETTLED, ...settlement };
  if (isStoreFailure(settlement)) return unsettled('unavailable', settlement.code);
  if (typeof settlement === 'string') return { ...unsettled(settlement, ''), budget: null };
  return settlement.problem === 'limit'
    ? { ...unsettled('limit', ''), over: overMessage(settlement.over) }
    : { ...unsettled(settlement.problem, ''), budget: settlement.budget };
}

const unsettled = (problem: string, detail: string): SettleReply['settled'][number] => ({
  problem,
  detail,
  card: null,
  position: null,
});
const invalid = (details: string): CallRefusal => ({ code: status.INVALID_ARGUMENT, details });
const tooMany = (details: string): CallRefusal => ({ code: status.RESOURCE_EXHAUSTED, details });
const unavailable = (): CallRefusal => ({ code: status.UNAVAILABLE, details: 'the state is not available' });
const noStream = (): CallRefusal => ({
  code: status.FAILED_PRECONDITION,
  details: 'this sidecar has no stream here: say Hello first',
});
