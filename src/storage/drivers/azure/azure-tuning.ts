/** How the driver behaves towards the network; tests make it quicker. */
export interface AzureTuning {
  /** connections to the account; parts and small objects of all lanes share them */
  readonly maxSockets: number;
  /** no byte either way for so many milliseconds, and a connection is given up: while it is made, sent on or read from */
  readonly silenceMs: number;
  /** how often a request is tried at most */
  readonly attempts: number;
  /** the pause after the first failure, in milliseconds; each later one is twice as long */
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
  /** a number from 0 up to 1 */
  readonly random: () => number;
  /** milliseconds since 1970 */
  readonly now: () => number;
}

/** Gives up on a service that answers nothing but errors after some 20 seconds. */
export const defaultTuning: AzureTuning = {
  maxSockets: 64,
  silenceMs: 30_000,
  attempts: 8,
  firstDelayMs: 250,
  maxDelayMs: 10_000,
  random: Math.random,
  now: Date.now,
};
