import { GcsClient, gcsSurroundings } from "../../../src/storage/drivers/gcs/gcs-client.ts";
import type { GcsSurroundings } from "../../../src/storage/drivers/gcs/gcs-client.ts";
import { parseGcsUrl } from "../../../src/storage/drivers/gcs/gcs-settings.ts";
import { GcsStore } from "../../../src/storage/drivers/gcs/gcs-store.ts";

export interface GcsUnderTest {
  readonly store: GcsStore;
  /** how long the store would have paused between tries, in milliseconds; it does not wait in truth */
  readonly pauses: readonly number[];
}

export interface OpenGcsOptions {
  readonly endpoint: string;
  /** bucket and prefix */
  readonly place?: string;
  /** more settings, as in the URL */
  readonly settings?: Readonly<Record<string, string>>;
  readonly surroundings?: Partial<GcsSurroundings>;
}

/** The driver over a server of the tests, with nothing of this machine's environment. */
export function openGcs({ endpoint, place = "bucket", settings, surroundings }: OpenGcsOptions): GcsUnderTest {
  const pauses: number[] = [];
  const query = new URLSearchParams({ endpoint, ...settings });
  const client = new GcsClient(parseGcsUrl(`gs://${place}?${query.toString()}`), {
    ...gcsSurroundings({}),
    random: () => 1,
    sleep: async (milliseconds) => {
      pauses.push(milliseconds);
    },
    ...surroundings,
  });
  return { store: new GcsStore(client), pauses };
}
