// WeChat's map speaks GCJ-02; the server's positions are WGS-84 where it is not asked otherwise.

/** The ellipsoid Krasovsky 1940, on which GCJ-02 stands. */
const axis = 6378245
const eccentricity = 0.006693421622965943 // squared

/** By the published reverse-engineered polynomial, as the server's own (api/geo.go); plain outside China. Degrees. */
export function toGcj02(lat: number, lng: number): { lat: number; lng: number } {
  if (lng < 72.004 || lng > 137.8347 || lat < 0.8293 || lat > 55.8271) return { lat, lng }
  const { sin, sqrt, abs, cos, PI } = Math
  const x = lng - 105
  const y = lat - 35
  const ripple = ((20 * sin(6 * x * PI) + 20 * sin(2 * x * PI)) * 2) / 3
  const north =
    -100 +
    2 * x +
    3 * y +
    0.2 * y * y +
    0.1 * x * y +
    0.2 * sqrt(abs(x)) +
    ripple +
    ((20 * sin(y * PI) + 40 * sin((y / 3) * PI)) * 2) / 3 +
    ((160 * sin((y / 12) * PI) + 320 * sin((y * PI) / 30)) * 2) / 3
  const east =
    300 +
    x +
    2 * y +
    0.1 * x * x +
    0.1 * x * y +
    0.1 * sqrt(abs(x)) +
    ripple +
    ((20 * sin(x * PI) + 40 * sin((x / 3) * PI)) * 2) / 3 +
    ((150 * sin((x / 12) * PI) + 300 * sin((x / 30) * PI)) * 2) / 3
  const radians = (lat / 180) * PI
  const magic = 1 - eccentricity * sin(radians) * sin(radians)
  const root = sqrt(magic)
  return {
    lat: lat + (north * 180) / (((axis * (1 - eccentricity)) / (magic * root)) * PI),
    lng: lng + (east * 180) / ((axis / root) * cos(radians) * PI),
  }
}
