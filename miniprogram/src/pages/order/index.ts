import { page } from '../../lib/page'
import { OrderScreen } from '../../screens/order'

page((app, show) => new OrderScreen(app, show))
