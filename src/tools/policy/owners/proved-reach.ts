/** Proves that the conditions of a policy keep it to what its owner may speak of, if its head does not. */
import { isDeny } from '../../../core/decision/decision.ts';
import { spiffeIdFrom } from '../../../core/identity/spiffe-id.ts';
import { cedarString } from '../../../core/policy/cedar-text.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import { serversAround, sliceOf } from '../analyze/action-slice.ts';
import { analysedActions, ISSUE } from '../analyze/analysis.ts';
import { asPermit, impliesIn } from '../analyze/policy-implication.ts';
import type { Prover } from '../analyze/prover.ts';
import { coversName } from './ownership.ts';
import type { Owner } from './owners-file.ts';

/** Whether all that a policy matches is its owner's, and all for which it can fail. */
export type ReachVerdict =
  | { readonly kind: 'within' }
  /** A request beyond, in words, or what was tried without an answer. */
  | { readonly kind: 'beyond' | 'undecided'; readonly why: string };

/**
 * Asks about each action that a policy's head has whether it matches only requests of the owner's agents, at the owner's servers. A policy that fails
 * denies, so if it might fail for a foreign action the verdict is `undecided`. No condition can name the agents of a pattern within a trust domain:
 * only whole trust domains, single agents and groups are looked at.
 *
 * @param isForeignAgents whether the head reaches agents that are not the owner's
 */
export async function provedReach(
  policy: PolicyEntry,
  owner: Owner,
  {
    set,
    prover,
    isForeignAgents,
  }: { readonly set: PolicySet; readonly prover: Prover; readonly isForeignAgents: boolean },
): Promise<ReachVerdict> {
  const implies = impliesIn(set, prover, (action) => placeOf(action, set));
  const tried: string[] = [];
  for (const action of analysedActions(set.catalog)) {
    if (sliceOf({ ...set, policies: [{ ...policy, shadow: false }] }, action).length === 0) continue;
    const bound = boundOf(action, owner, { policy, set, isForeignAgents });
    if (bound === 'all') continue;
    const failing = await implies(action, [], [asPermit(policy)]);
    if (failing.kind === 'undecided') tried.push(...failing.tried.map((one) => `${action}: ${one}`));
    const verdict = await implies(action, [asPermit(policy)], bound);
    if (verdict.kind === 'refuted') {
      const { principal, resource } = verdict.example.question;
      return { kind: 'beyond', why: `it matches \`${action}\` of \`${principal.id}\` at \`${resource.id}\`` };
    }
    if (verdict.kind === 'undecided') tried.push(...verdict.tried.map((one) => `${action}: ${one}`));
  }
  return tried.length === 0 ? { kind: 'within' } : { kind: 'undecided', why: tried.join('; ') };
}

/** Most servers of a catalog for which conditions exclude the servers that an endpoint is not in; with more there are none. */
const MAX_SERVERS = 300;

/** The endpoint of an action lies in no server but those of the catalog and the entities, which are part of the set. */
function placeOf(action: string, set: PolicySet): readonly string[] {
  const entry = set.catalog.actions.get(action);
  if (entry === undefined || set.catalog.servers.size > MAX_SERVERS) return [];
  const around = serversAround(entry, set);
  const others = [...set.catalog.servers.keys()].filter((id) => !around.has(id));
  return others.map((id) => `!(resource in Remit::Server::${cedarString(id)})`);
}

/** What the owner's policies may match of an action: everything, nothing, or a permit of it. */
function boundOf(
  action: string,
  owner: Owner,
  {
    policy,
    set: { catalog },
    isForeignAgents,
  }: { readonly policy: PolicyEntry; readonly set: PolicySet; readonly isForeignAgents: boolean },
): 'all' | readonly PolicyEntry[] {
  if (!coversName(owner.actions, action)) return [];
  const server = catalog.actions.get(action)?.server.id;
  if (server !== undefined && !coversName(owner.servers, server)) return [];
  const foreign = [...catalog.servers.keys()].filter((id) => !coversName(owner.servers, id));
  const resource =
    action !== ISSUE || foreign.length === 0
      ? []
      : [`![${foreign.map((id) => `Remit::Server::${cedarString(id)}`).join(', ')}].contains(resource)`];
  const conditions = [...resource, ...(isForeignAgents ? [agentsOf(owner)] : [])];
  if (conditions.length === 0) return 'all';
  const when = conditions.map((condition) => ` when { ${condition} }`).join('');
  const text = `@id("remit-owned") permit (principal, action, resource)${when};`;
  return [{ ...policy, id: 'remit-owned', effect: 'permit', shadow: false, text }];
}

/** The owner's agents, as a condition. */
function agentsOf({ agents, groups }: Owner): string {
  const tests = [
    ...groups.map((id) => `principal in Remit::AgentGroup::${cedarString(id)}`),
    ...agents.flatMap((agent) => {
      const domain = /^spiffe:\/\/([^/*]+)\/\*$/.exec(agent)?.[1];
      if (domain !== undefined) return [`principal in Remit::TrustDomain::${cedarString(domain)}`];
      return isDeny(spiffeIdFrom(agent)) ? [] : [`principal == Remit::Agent::${cedarString(agent)}`];
    }),
  ];
  return tests.length === 0 ? 'false' : tests.join(' || ');
}
