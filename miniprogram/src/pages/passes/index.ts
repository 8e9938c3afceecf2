import { page } from '../../lib/page'
import { PassesScreen } from '../../screens/passes'

page((app, show) => new PassesScreen(app, show))
