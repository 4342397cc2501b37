/** An answer that is an error, as the JSON API words it. */
export class ApiError extends Error {
  readonly status: number;
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

export const conditionNotMet = (): ApiError =>
  new ApiError(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.");
export const badRequest = (message: string): ApiError => new ApiError(400, "invalid", message);
export const noBucket = (): ApiError => new ApiError(404, "notFound", "The specified bucket does not exist.");
export const noObject = (bucket: string, name: string): ApiError =>
  new ApiError(404, "notFound", `No such object: ${bucket}/${name}`);

export function errorBody({ status, reason, message }: ApiError): string {
  return JSON.stringify({ error: { code: status, message, errors: [{ message, domain: "global", reason }] } });
}
