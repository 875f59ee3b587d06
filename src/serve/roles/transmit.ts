import type { IssuerConfig } from '../../core/config/issuer.ts';
import { after } from '../../core/runtime/timers.ts';
import { deliverSignals } from '../../authority/issuer/transmit/delivery.ts';
import type { DeliveryServices, SignalReceiver } from '../../authority/issuer/transmit/delivery.ts';
import { verifyReceiver } from '../../authority/issuer/transmit/verification.ts';
import type { VerifiedReceiver } from '../../authority/issuer/transmit/verification.ts';
import type { TokenKeys } from '../../authority/issuer/keys/signing-keys.ts';
import type { Closers } from '../closers.ts';
import type { Parts } from '../parts.ts';
import type { StartProblem } from '../start-problem.ts';

/** Sends a verification event to a receiver by its name; `null` if there is none of that name. */
export type VerifySignals = (name: string, state: string | null) => Promise<VerifiedReceiver> | null;

/** Begins to push signals to each configured receiver. A problem if two have the same name. */
export function transmitSignals(
  parts: Parts,
  { signals, url }: Pick<IssuerConfig, 'signals' | 'url'>,
  {
    authority,
    keys,
    closers,
  }: {
    readonly authority: DeliveryServices['authority'];
    readonly keys: TokenKeys;
    readonly closers: Pick<Closers, 'push'>;
  },
): VerifySignals | StartProblem {
  const receivers = signals?.transmit ?? [];
  const twice = receivers.find(({ name }, at) => receivers.some((other, before) => before < at && other.name === name));
  if (twice !== undefined) return { problem: `\`issuer.signals.transmit\` has two receivers named \`${twice.name}\`` };
  const byName = new Map<string, SignalReceiver>();
  for (const { audience, ca, events, name, tokenFile, url: to } of receivers) {
    const receiver = { name, url: to, audience: audience ?? to, events: new Set(events), tokenFile, ca };
    byName.set(name, receiver);
    const services = { authority, keys, issuer: url, ports: parts.ports, after, ...heard(parts, name) };
    closers.push(deliverSignals(receiver, services));
  }
  return (name, state) => {
    const receiver = byName.get(name);
    return receiver === undefined ? null : verifyReceiver(receiver, { keys, issuer: url, ports: parts.ports }, state);
  };
}

function heard(
  { log, metrics, ports }: Pick<Parts, 'log' | 'metrics' | 'ports'>,
  receiver: string,
): Pick<DeliveryServices, 'onPushed' | 'onWaiting' | 'onDropped' | 'onProblem' | 'onRefused'> {
  let oldestMs: number | null = null;
  metrics.beforeScrape(() =>
    metrics.signalsOldest.of({ receiver }).set(oldestMs === null ? 0 : Math.max(0, ports.nowMs() - oldestMs) / 1_000),
  );
  return {
    onPushed: (result) => metrics.signalsSent.of({ receiver, result }).inc(),
    onWaiting: (queue) => {
      oldestMs = queue?.oldestMs ?? null;
      metrics.signalsWaiting.of({ receiver }).set(queue?.waiting ?? 0);
    },
    onDropped: (count) => {
      metrics.signalsDropped.of({ receiver }).inc(count);
      const text = `${count} signals for receiver \`${receiver}\` were dropped before it had them: too old, or too many`;
      log(text, 'signals-dropped', { receiver, count });
    },
    onProblem: (problem) =>
      problem === null
        ? log(`receiver \`${receiver}\` takes signals again`, 'signals-sent', { receiver })
        : log(`receiver \`${receiver}\` is behind: ${problem}; it is tried again`, 'signals-failed', { receiver }),
    onRefused: (jti, detail) =>
      log(`receiver \`${receiver}\` will not take a signal: ${detail}`, 'signal-refused', { receiver, jti }),
  };
}
