import type { UseRecord, WouldBe } from './record.ts';

/**
 * The canonical JSON of a use record, concatenated from its members in canonical order, since every check makes a record. `null` if a
 * member needs escaping, which is left to `canonicalJson`.
 */
export function plainUseText(record: UseRecord): string | null {
  const { action, agent, at, credential, decision, decisionId, detail, host, jtiDigest, kind, method, path } = record;
  if (
    record.args !== undefined ||
    record.carried !== undefined ||
    record.shape !== undefined ||
    record.limits !== undefined ||
    record.origin !== undefined ||
    record.by !== undefined
  )
    return null;
  const {
    policyGeneration,
    policyIds,
    policySet,
    reason,
    refusedCaller,
    reuse,
    spanId,
    task,
    tokenUse,
    traceId,
    usedElsewhere = null,
    withdraws = null,
    mode = null,
    entry = null,
    would = null,
  } = record;
  if (!isCount(at) || !isCount(policyGeneration) || !isCount(tokenUse)) return null;
  if (refusedCaller !== null && !(isPlain(refusedCaller.id) && isPlain(refusedCaller.address))) return null;
  if (!isPlain(action) || !isPlain(agent) || !isPlain(credential) || !isPlain(decision) || !isPlain(decisionId))
    return null;
  if (!isPlain(detail)) return null;
  if (!isPlain(host) || !isPlain(jtiDigest) || !isPlain(method) || !isPlain(path) || !isPlain(policySet)) return null;
  if (!isPlain(reason) || !isPlain(spanId) || !isPlain(task) || !isPlain(traceId) || !isPlain(withdraws)) return null;
  if (usedElsewhere !== null && !(isPlain(usedElsewhere.spanId) && isPlain(usedElsewhere.traceId))) return null;
  if (!policyIds.every(isPlain) || !reuse.every(isPlain)) return null;
  if (!isPlain(mode) || !isPlain(entry) || !isPlainWould(would)) return null;
  return (
    `{"action":${quoted(action)},"agent":${quoted(agent)},"at":${at},"credential":${quoted(credential)},` +
    `"decision":"${decision}","decisionId":"${decisionId}","detail":${quoted(detail)},${memberText('entry', entry)}` +
    `"host":"${host}","jtiDigest":${quoted(jtiDigest)},` +
    `"kind":"${kind}","method":"${method}",${memberText('mode', mode)}"path":"${path}","policyGeneration":${policyGeneration},` +
    `"policyIds":${listed(policyIds)},"policySet":${quoted(policySet)},"reason":${quoted(reason)},` +
    `"refusedCaller":${refusedText(refusedCaller)},` +
    `"reuse":${listed(reuse)},"spanId":"${spanId}","task":${quoted(task)},"tokenUse":${tokenUse},"traceId":"${traceId}"` +
    elsewhereText(usedElsewhere) +
    (withdraws === null ? '' : `,"withdraws":"${withdraws}"`) +
    (would === null ? '}' : `,"would":${wouldText(would)}}`)
  );
}

const memberText = (name: string, value: string | null): string => (value === null ? '' : `"${name}":"${value}",`);

const isPlainWould = (would: WouldBe | null): boolean =>
  would === null ||
  (isPlain(would.decision) && isPlain(would.detail) && isPlain(would.reason) && would.policyIds.every(isPlain));

const wouldText = ({ decision, detail, policyIds, reason }: WouldBe): string =>
  `{"decision":"${decision}","detail":${quoted(detail)},"policyIds":${listed(policyIds)},"reason":${quoted(reason)}}`;

const refusedText = (refusedCaller: UseRecord['refusedCaller']): string =>
  refusedCaller === null ? 'null' : `{"address":${quoted(refusedCaller.address)},"id":"${refusedCaller.id}"}`;

const elsewhereText = (span: NonNullable<UseRecord['usedElsewhere']> | null): string =>
  span === null ? '' : `,"usedElsewhere":{"spanId":"${span.spanId}","traceId":"${span.traceId}"}`;

/** Whether JSON writes a number the way it is concatenated here. */
const isCount = (value: number | null): boolean => value === null || (Number.isSafeInteger(value) && value >= 0);

/** Whether a text needs no escaping in JSON. */
const isPlain = (text: string | null): boolean => text === null || /^[ !#-[\]-~]*$/.test(text);

const quoted = (text: string | null): string => (text === null ? 'null' : `"${text}"`);

const listed = (texts: readonly string[]): string => (texts.length === 0 ? '[]' : `["${texts.join('","')}"]`);
