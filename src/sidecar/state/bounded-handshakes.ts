/* oxlint-disable no-underscore-dangle -- grpc-js names so what its credentials are made of. */
import { ChannelCredentials } from '@grpc/grpc-js';
import type { Socket } from 'node:net';
import type { After } from '../../core/runtime/timers.ts';

type Connector = ReturnType<ChannelCredentials['_createSecureConnector']>;

/**
 * Credentials of a channel whose TLS handshakes end: after a time, and when the channel is closed. grpc-js bounds none: a server that accepts
 * connections and never answers would leak a handshake per attempt.
 */
export class BoundedHandshakes extends ChannelCredentials {
  readonly #inner: ChannelCredentials;
  readonly #maxMs: number;
  readonly #after: After;

  constructor(inner: ChannelCredentials, { maxMs, after }: { readonly maxMs: number; readonly after: After }) {
    super();
    this.#inner = inner;
    this.#maxMs = maxMs;
    this.#after = after;
  }

  override _isSecure(): boolean {
    return this.#inner._isSecure();
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(...of: Parameters<ChannelCredentials['_createSecureConnector']>): Connector {
    const inner = this.#inner._createSecureConnector(...of);
    const pending = new Set<Socket>();
    return {
      connect: async (socket) => {
        pending.add(socket);
        const cancel = this.#after(this.#maxMs, () => socket.destroy());
        const { promise: closed, reject } = Promise.withResolvers<never>();
        const onClose = (): void => reject(new Error('the TLS handshake did not end in time'));
        socket.once('close', onClose);
        try {
          return await Promise.race([inner.connect(socket), closed]);
        } finally {
          cancel();
          socket.off('close', onClose);
          pending.delete(socket);
        }
      },
      waitForReady: () => inner.waitForReady(),
      getCallCredentials: () => inner.getCallCredentials(),
      destroy: () => {
        for (const socket of pending) socket.destroy();
        inner.destroy();
      },
    };
  }
}
