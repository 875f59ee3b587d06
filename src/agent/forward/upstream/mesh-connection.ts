import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { isProblem } from '../../../core/runtime/problem.ts';
import { capturerOf, tcpRows, usersListening } from './capture.ts';
import type { ForwardTarget } from '../forward-target.ts';
import { ADMIN_PORT, MeshVerdict } from './mesh-verdict.ts';
import { ownUser } from '../local/peer-users.ts';

/** Error code for a plaintext connection that no sidecar intercepts, or that the sidecar may forward in plaintext. */
const IN_CLEAR = 'REMIT_IN_CLEAR';

const HTTP_PORT = 80;
const [LOOKS, LOOK_MS] = [4, 10];

/** Whether an upstream is called in plaintext, through the sidecar of this pod. */
export const isInMesh = ({ origin }: Pick<ForwardTarget, 'origin'>): boolean => origin.startsWith('http:');

/** An upstream that is called in plaintext, with what the pod's Envoy reports about the way there. */
export interface MeshRoute {
  readonly target: ForwardTarget;
  readonly verdict: MeshVerdict;
}

/** A route to an upstream for which {@link isInMesh} holds. Its Envoy is asked at the first connection. */
export const meshRouteTo = (target: ForwardTarget, { connectMs }: { readonly connectMs: number }): MeshRoute => ({
  target,
  verdict: new MeshVerdict({ host: new URL(target.origin).hostname, port: portOf(target) }, { connectMs }),
});

/**
 * A plaintext connection to an upstream, by way of the pod's own Envoy. It is verified that this Envoy has the other end and forwards the
 * calls only over TLS. Rejects otherwise, with nothing sent: a token on it would leave the pod unencrypted.
 *
 * What is proven: the peer of this connection is a process in this network namespace, of another user than ours; the same user serves Envoy's admin
 * interface, which reports that each cluster to which the host is routed speaks TLS. Not proven: that this stays so when the configuration of the
 * mesh changes, so it is checked again ({@link meshProblem}).
 */
export async function meshConnection(
  { target, verdict }: MeshRoute,
  { connectMs }: { readonly connectMs: number },
): Promise<Socket> {
  const at = placeOf(target);
  const signal = AbortSignal.timeout(connectMs);
  // INVARIANT: over IPv4 and from a port of its own, which is bound before it is connected: see `capturerOf`.
  const { address } = await Promise.race([lookup(at.host, { family: 4 }), endOf(signal)]);
  const socket = connect({ host: address, port: at.port, localAddress: '0.0.0.0', noDelay: true });
  // Without a listener an error during the check would end the process.
  socket.on('error', ignored);
  try {
    await once(socket, 'connect', { signal });
    const problem = await captureProblem(socket, { target, verdict, signal });
    if (problem !== null) throw Object.assign(new Error(problem), { code: IN_CLEAR });
    if (socket.errored) throw socket.errored;
    socket.off('error', ignored);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

const ignored = (): void => undefined;

/** Rejects when the time is over: a look-up takes no signal. */
async function endOf(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) await once(signal, 'abort');
  throw signal.reason;
}

/** Why a connection to the upstream is not safe now, by a new answer of its Envoy; `null` if it is. Sends nothing on it. */
export async function meshProblem(route: MeshRoute, bounds: { readonly connectMs: number }): Promise<string | null> {
  route.verdict.forget();
  try {
    (await meshConnection(route, bounds)).destroy();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function captureProblem(
  { localAddress = '', localPort = 0 }: Socket,
  { target, verdict, signal }: MeshRoute & { readonly signal: AbortSignal },
): Promise<string | null> {
  let rows = tcpRows();
  let user = capturerOf({ localAddress, localPort }, rows);
  // The other end may not have seen the last packet of the handshake yet.
  for (let look = 1; isProblem(user) && look < LOOKS; look += 1) {
    await delay(LOOK_MS);
    rows = tcpRows();
    user = capturerOf({ localAddress, localPort }, rows);
  }
  const start = `an \`http:\` URL is for a service that the sidecar of this pod takes over, and the connection to ${target.origin}`;
  if (isProblem(user)) return `${start} is not: ${user.problem}`;
  if (user === ownUser()) return `${start} is taken over by a process of this user (${user})`;
  const admins = usersListening(ADMIN_PORT, rows);
  if (admins.length === 0 || admins.some((admin) => admin !== user))
    return `${start} is taken over by a process of user ${user}, of whose Envoy no admin interface is at 127.0.0.1:${ADMIN_PORT}`;
  return Promise.race([verdict.problem(user), endOf(signal)]);
}

/** The host and port to connect to. */
const placeOf = (target: ForwardTarget): { readonly host: string; readonly port: number } =>
  target.connect ?? { host: new URL(target.origin).hostname, port: portOf(target) };

const portOf = ({ origin }: ForwardTarget): number => Number(new URL(origin).port) || HTTP_PORT;
