import { isPgarkError } from "../../errors.ts";

/** The first damage that is met while an object is read to its end; what comes after it is not looked into any more. */
export class FirstDamage {
  /** what is wrong; undefined while nothing is */
  problem: string | undefined;

  /** Does the work unless there was damage before. Throws whatever is no damage. */
  attempt(work: () => void): void {
    if (this.problem !== undefined) return;
    try {
      work();
    } catch (error) {
      if (!isPgarkError(error, "corrupt")) throw error;
      this.problem = error.message;
    }
  }
}
